//! The plain actix-web-actors echo that the gateway is compared with: the least that this stack can
//! cost. It speaks just enough of the handshake for the load generator and answers every request
//! with a frame of a fixed size that carries the request's id, so that both servers move the same
//! bytes.
//!
//! `bench-echo PORT REPLY_BYTES`

use actix::{Actor, ActorContext, StreamHandler};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws::{self, Message, ProtocolError, WebsocketContext};

const CHALLENGE: &str =
    r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":0}}"#;

struct Echo {
    /// What fills a reply behind its id.
    rest: web::Data<String>,
}

impl Actor for Echo {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.text(CHALLENGE);
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Echo {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        match item {
            Ok(Message::Text(text)) => {
                let id = id_of(&text);
                let mut reply = String::with_capacity(24 + id.len() + self.rest.len());
                reply.push_str(r#"{"type":"res","id":""#);
                reply.push_str(id);
                reply.push_str(&self.rest);
                ctx.text(reply);
            }
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(_) => {}
            Err(_) => ctx.stop(),
        }
    }
}

/// The text between `"id":"` and the next quote.
fn id_of(text: &str) -> &str {
    const KEY: &str = r#""id":""#;
    text.find(KEY)
        .map(|at| &text[at + KEY.len()..])
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
}

async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    rest: web::Data<String>,
) -> Result<HttpResponse, Error> {
    ws::start(Echo { rest }, &request, payload)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u16>().ok());
    let (Some(port), Some(bytes)) = (number(), number()) else {
        eprintln!("usage: bench-echo PORT REPLY_BYTES");
        std::process::exit(2);
    };
    let (head, tail) = (r#"","ok":true,"payload":{"pad":""#, r#""}}"#);
    // 20 bytes stand before the id, and about 4 are the id's.
    let pad = usize::from(bytes).saturating_sub(24 + head.len() + tail.len());
    let rest = web::Data::new(format!("{head}{}{tail}", "x".repeat(pad)));
    HttpServer::new(move || {
        App::new()
            .app_data(rest.clone())
            .default_service(web::to(upgrade))
    })
    .on_connect(|connection, _| {
        if let Some(tcp) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
            let _ = tcp.set_nodelay(true);
        }
    })
    // As many as the gateway starts on a small machine.
    .workers(1)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
