//! The bare proxy: the HTTP server and the client that mcpd has, and nothing between them. What mcpd takes more than
//! this is what its gate costs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use mcpd::upstream::http1::{Pool, Request, Target};

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Passes everything on to the upstream until told to stop.
pub fn serve(listen: SocketAddr, upstream: SocketAddr) -> std::io::Result<()> {
    let url: Uri = format!("http://{upstream}/v1/chat/completions").parse().expect("a URL");
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            let target = Target::of(&url, None, Duration::from_secs(5)).expect("it names a host");
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            let request = Request::new(&Method::POST, &url, &headers).expect("it names a host");
            App::new()
                .app_data(web::Data::new((Pool::new(target), request)))
                .default_service(web::to(pass_on))
        })
        .workers(1)
        .tcp_nodelay(true)
        .bind(listen)?
        .run()
        .await
    })
}

async fn pass_on(request: HttpRequest, body: web::Bytes, to: web::Data<(Rc<Pool>, Request)>) -> HttpResponse {
    if request.method() == Method::GET {
        // Asked for by who starts it.
        return HttpResponse::NoContent().finish();
    }
    let (pool, asked) = to.get_ref();
    let mut answer = pool.send(asked, &[body], PATIENCE).await.expect("the model server answers");
    let mut response = HttpResponse::Ok();
    if answer.head.is_event_stream {
        return response.content_type("text/event-stream").streaming(answer);
    }
    let mut pieces = Vec::new();
    while let Some(piece) = answer.piece().await {
        pieces.push(piece.expect("the answer is whole"));
    }
    let body = if let [whole] = &mut *pieces { std::mem::take(whole) } else { pieces.concat().into() };
    response.content_type("application/json").body(body)
}
