//! What the fuzz targets share: the server without its sockets, and how to read an input.

pub mod input;
pub mod server;
