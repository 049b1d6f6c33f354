//! One reading of a path: what cannot be decoded is refused before any route or policy sees it, so
//! that the two can never disagree about what it names.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::ContentType;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

/// Answers 400 to a path that cannot be decoded.
pub(super) async fn refuse_undecodable<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if is_decodable(request.uri().path()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let answer = HttpResponse::BadRequest()
        .content_type(ContentType::plaintext())
        .body("the path cannot be decoded");
    Ok(request.into_response(answer).map_into_right_body())
}

/// Whether every escape is complete, and the decoded path is UTF-8 without NUL.
fn is_decodable(path: &str) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                return false;
            };
            u8::try_from(high * 16 + low).unwrap_or_default()
        } else {
            byte
        };
        decoded.push(byte);
    }
    !decoded.contains(&0) && std::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_escapes_of_text_are_decodable() {
        for path in ["/", "/a%20b", "/%C3%A4", "/%252e%252f", "/x/%2e%2E", "/ä"] {
            assert!(is_decodable(path), "{path}");
        }
        for path in [
            "/%", "/%2", "/%zz", "/%ff", "/%c0%af", "/%00", "/a%", "/%+1",
        ] {
            assert!(!is_decodable(path), "{path}");
        }
    }
}
