//! The `redis` check: `PING`, after a login if one is configured.

use bytes::Bytes;

use super::{
    connect::Way,
    dialogue::Dialogue,
    outcome::{Answered, Failure},
};
use crate::settings::Login;

pub(super) async fn ask(way: Way, login: Option<&Login>) -> Result<Answered, Failure> {
    let mut server = Dialogue::open(way).await?;
    if let Some(Login { user, password }) = login {
        let words = ["AUTH", user, password.expose()];
        let words = words.into_iter().filter(|word| !word.is_empty());
        let answer = call(&mut server, &words.collect::<Vec<_>>()).await?;
        if answer != b"+OK" {
            return Ok(refused("AUTH", &answer));
        }
    }
    let answer = call(&mut server, &["PING"]).await?;
    Ok(if answer == b"+PONG" {
        (200, Bytes::from_static(b"PONG"))
    } else {
        refused("PING", &answer)
    })
}

/// One command, and the line that answers it.
async fn call(server: &mut Dialogue, words: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    server.say(command.as_bytes()).await?;
    let line = server.line().await?;
    Ok(line.trim_ascii_end().to_owned())
}

fn refused(command: &str, answer: &[u8]) -> Answered {
    (503, format!("{command} was answered by `{}`", answer.escape_ascii()).into())
}
