//! The `smtp` check: a greeting, whatever it says, and a proper end (hacheck.md §7).

use super::{
    connect::Way,
    dialogue::Dialogue,
    outcome::{Answered, Failure},
};

/// A greeting may have several lines, but not so many.
const MAX_LINES: usize = 100;

pub(super) async fn ask(way: Way) -> Result<Answered, Failure> {
    let mut server = Dialogue::open(way).await?;
    reply(&mut server).await?;
    server.say(b"QUIT\r\n").await?;
    let goodbye = reply(&mut server).await?;
    if !goodbye.starts_with(b"221") {
        let shown = goodbye.escape_ascii();
        return Err(Failure::Nonsense(format!("Got unexpected QUIT response b'{shown}'")));
    }
    Ok(server.went_well())
}

/// The last line of a reply: all before it have a `-` after their code.
async fn reply(server: &mut Dialogue) -> Result<Vec<u8>, Failure> {
    for _ in 0..MAX_LINES {
        let line = server.line().await?;
        if line.get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
    Err(Failure::Nonsense(format!("a reply of more than {MAX_LINES} lines")))
}
