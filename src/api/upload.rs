//! Takes files in, as a form that is read while it comes: nothing is ever whole in memory, and nothing is a file
//! before the form is complete and its signature, if it has one, is good.

use std::sync::Arc;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpResponse;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_DISPOSITION;
use futures_util::StreamExt as _;

use super::disposition;
use super::files::View;
use crate::domain::file::{File, Filename, Purpose};
use crate::domain::id::FileId;
use crate::files::{CHUNK, FilesError, Upload};
use crate::http::block::{block, gently};
use crate::http::public::Call;
use crate::http::streamed::Streamed;
use crate::http::{ApiError, body};

/// What a form may have around its file, in bytes; more than a chunk, so that a file's length is judged first.
const AROUND: u64 = 1024 * 1024;
/// The longest field that is no file, in bytes.
const LONGEST_FIELD: usize = 1024;
/// What is said of a part whose headers cannot be read, are too long, or do not name it.
const HEADERS: &str = "the form cannot be read: the headers of each part must be short, in UTF-8, and name it, such as \
     `Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"`";

/// Stores a file.
pub(super) async fn create(call: Call<Streamed>) -> Result<HttpResponse, ApiError> {
    let mut begun = None;
    match receive(&call, &mut begun).await {
        Ok(file) => Ok(super::json(&View::new(&file))),
        Err(error) => {
            // Nothing is left by the time that the client hears of it.
            if let Some(id) = begun {
                let files = Arc::clone(&call.rooms.files);
                block(move || {
                    files.clear(id);
                    Ok::<_, ApiError>(())
                })
                .await?;
            }
            call.body.discard().await;
            Err(error)
        }
    }
}

/// Takes the form in; `begun` is the id of what was kept of it.
async fn receive(call: &Call<Streamed>, begun: &mut Option<FileId>) -> Result<File, ApiError> {
    let files = &call.rooms.files;
    let most = files.limits().max_bytes;
    body::check_form(call.request.headers())?;
    body::check_length(&call.request, most.saturating_add(AROUND)).map_err(|_| FilesError::TooLarge(most))?;
    let pieces = call.body.pieces(most.saturating_add(AROUND));
    let mut form = Multipart::new(call.request.headers(), pieces);
    let mut received = Form::default();
    while let Some(field) = form.next().await {
        let mut field = field.map_err(|error| broken(&call.body, &error))?;
        match field.name() {
            Some("file") if received.file.is_none() => {
                received.filename = Some(filename(&field)?);
                let by = call.exchange.permit()?.entry.key.id;
                let upload = files.begin(by)?;
                *begun = Some(upload.id());
                received.file = Some(fill(&call.body, &mut field, upload).await?);
            }
            Some("purpose") if received.purpose.is_none() => {
                received.purpose = Some(purpose(&call.body, &mut field).await?);
            }
            Some(name @ ("file" | "purpose")) => {
                return Err(ApiError::field(name, "is there twice: send one"));
            }
            name => {
                let name: String = name.unwrap_or_default().chars().take(80).collect();
                return Err(ApiError::field(&name, "is an unknown field: `file` and `purpose` are taken"));
            }
        }
    }
    drop(form);
    let (upload, filename, purpose) = received.complete()?;
    call.body.end().await?;
    block(move || upload.finish(filename, purpose)).await
}

/// What came of the form until now.
#[derive(Default)]
struct Form {
    file: Option<Upload>,
    filename: Option<Filename>,
    purpose: Option<Purpose>,
}

impl Form {
    fn complete(self) -> Result<(Upload, Filename, Purpose), ApiError> {
        let missing = |field, remedy| ApiError::field(field, format_args!("is missing: {remedy}"));
        let file = self.file.zip(self.filename);
        let (file, filename) = file.ok_or_else(|| missing("file", "send the file as a form's part"))?;
        let purpose =
            self.purpose.ok_or_else(|| missing("purpose", "say what it is for, such as `user_data`"))?;
        Ok((file, filename, purpose))
    }
}

/// Keeps what is in the file, a chunk at a time; the next is read once the one before is written.
async fn fill(body: &Streamed, field: &mut Field, mut upload: Upload) -> Result<Upload, ApiError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(piece) = field.next().await {
        let mut piece = &*piece.map_err(|error| broken(body, &error))?;
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(CHUNK - chunk.len()));
            chunk.extend_from_slice(now);
            piece = later;
            if chunk.len() == CHUNK {
                (upload, chunk) = write(upload, chunk).await?;
            }
        }
    }
    if chunk.is_empty() { Ok(upload) } else { Ok(write(upload, chunk).await?.0) }
}

/// Writes a chunk and gives the room that it took back.
async fn write(mut upload: Upload, mut chunk: Vec<u8>) -> Result<(Upload, Vec<u8>), ApiError> {
    gently(move || {
        upload.write(&chunk)?;
        chunk.clear();
        Ok::<_, FilesError>((upload, chunk))
    })
    .await
}

fn filename(field: &Field) -> Result<Filename, ApiError> {
    let wrong = |reason: &str| ApiError::field("file", format_args!("has a filename that {reason}"));
    let header = field.headers().get(CONTENT_DISPOSITION).map_or(&[][..], |value| value.as_bytes());
    let name = disposition::filename(header).map_err(wrong)?;
    let name = name.ok_or_else(|| ApiError::field("file", "has no filename: send it as a file"))?;
    Filename::parse(&name).map_err(|reason| wrong(&reason))
}

async fn purpose(body: &Streamed, field: &mut Field) -> Result<Purpose, ApiError> {
    let bytes = match field.bytes(LONGEST_FIELD).await {
        Ok(bytes) => bytes.map_err(|error| broken(body, &error))?,
        Err(_) => return Err(ApiError::field("purpose", "is too long")),
    };
    Purpose::parse(&String::from_utf8_lossy(&bytes)).map_err(|reason| ApiError::field("purpose", reason))
}

/// Returns what a client is told whose form could not be read to its end.
fn broken(body: &Streamed, error: &MultipartError) -> ApiError {
    use MultipartError as E;
    match (body.failure(), error) {
        (Some(failure), _) => failure,
        (None, E::ContentTypeMissing | E::ContentTypeParse | E::ContentTypeIncompatible) => {
            ApiError::UnsupportedMediaType(body::FORM)
        }
        (
            None,
            E::Parse(_)
            | E::Payload(PayloadError::Overflow)
            | E::ContentDispositionMissing
            | E::ContentDispositionNameMissing,
        ) => ApiError::bad_request(HEADERS),
        (None, E::Payload(error)) => body::broken(error),
        (None, _) => ApiError::bad_request(format!("the form cannot be read: {error}")),
    }
}
