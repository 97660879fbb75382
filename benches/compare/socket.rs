//! A socket that nobody waits for: what it does not take at once goes out later.

use std::io::{ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

pub struct Socket {
    pub tcp: TcpStream,
    unsent: Vec<u8>,
}

impl Socket {
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, unsent: Vec::new() }
    }

    /// Sends bytes; what does not fit now goes out with [`Self::flush`].
    pub fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    /// Sends what is left to send.
    pub fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.tcp.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Reading tells.
                Err(_) => return self.unsent.clear(),
            }
        }
    }

    /// Reads what has come, a bufferful at most; none if nothing has, and 0 bytes once the connection is closed.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.tcp.read(buffer) {
            Ok(length) => Some(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }
}
