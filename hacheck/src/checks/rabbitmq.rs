//! The `rabbitmq` check: a message goes into the queue `nerve` and one comes out again (nerve.md §2).
//!
//! Speaks as much of AMQP 0-9-1 as that takes. Every check has a connection of its own and closes it,
//! as a broker writes one that is cut off into its log.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    connect::{Way, connect},
    outcome::{Answered, Failure},
};
use crate::settings::Login;

const PROTOCOL: &[u8] = b"AMQP\x00\x00\x09\x01";
/// The smallest frame that every peer must take; we ask for no larger ones.
const FRAME_MAX: usize = 4096;
/// A message of somebody else in our queue is read up to this.
const MAX_MESSAGE: u64 = 64 * 1024;
const QUEUE: &str = "nerve";
const MESSAGE: &[u8] = b"nerve test message";
/// Nothing of ours is on the first channel but the connection itself.
const CONNECTION: u16 = 0;
const CHANNEL: u16 = 1;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xce;

/// A method: its class and its number in it.
type Method = (u16, u16);

const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CLOSE: Method = (10, 50);
const CLOSE_OK: Method = (10, 51);
const OPEN_CHANNEL: Method = (20, 10);
const CHANNEL_OPEN: Method = (20, 11);
const CHANNEL_CLOSE: Method = (20, 40);
const DECLARE: Method = (50, 10);
const DECLARED: Method = (50, 11);
const BASIC: u16 = 60;
const PUBLISH: Method = (BASIC, 40);
const GET: Method = (BASIC, 70);
const GOT: Method = (BASIC, 71);
const GOT_NOTHING: Method = (BASIC, 72);
const ACKNOWLEDGE: Method = (BASIC, 80);

/// Logs in as `login`, else as `guest` with the password `guest`.
///
/// # Errors
/// Those of the connection; what the broker refuses is an answer.
pub(super) async fn ask(way: Way, login: Option<&Login>) -> Result<Answered, Failure> {
    let mut broker = Conversation { stream: connect(way).await? };
    match exchange(&mut broker, login).await {
        Ok(()) => Ok((200, Bytes::from_static(b"a message went in and came out"))),
        Err(Trouble::Refused(reason)) => Ok((503, reason.into())),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// Why no message came out.
enum Trouble {
    Refused(String),
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn exchange(broker: &mut Conversation, login: Option<&Login>) -> Result<(), Trouble> {
    broker.write(PROTOCOL).await?;
    broker.expect(START).await?;
    let (user, password) =
        login.map_or(("guest", "guest"), |login| (login.user.as_str(), login.password.expose()));
    broker.say(CONNECTION, START_OK, start_ok(user, password)).await?;
    broker.expect(TUNE).await?;
    broker
        .say(CONNECTION, TUNE_OK, Arguments::new().short(CHANNEL).long(FRAME_MAX).short(0))
        .await?;
    broker.say(CONNECTION, OPEN, Arguments::new().text("/").text("").byte(0)).await?;
    broker.expect(OPEN_OK).await?;
    broker.say(CHANNEL, OPEN_CHANNEL, Arguments::new().text("")).await?;
    broker.expect(CHANNEL_OPEN).await?;
    // Neither passive, durable, exclusive nor deleted by itself: as nerve declares it.
    let queue = Arguments::new().short(0).text(QUEUE).byte(0).long(0);
    broker.say(CHANNEL, DECLARE, queue).await?;
    broker.expect(DECLARED).await?;
    broker.say(CHANNEL, PUBLISH, Arguments::new().short(0).text("").text(QUEUE).byte(0)).await?;
    broker.content(MESSAGE).await?;
    broker.say(CHANNEL, GET, Arguments::new().short(0).text(QUEUE).byte(0)).await?;
    let (method, mut got) = broker.hear(&[GOT, GOT_NOTHING]).await?;
    if method == GOT_NOTHING || got.len() < 8 {
        return Err(Trouble::Refused("the queue lost the message".to_owned()));
    }
    let tag = got.get_u64();
    broker.read_content().await?;
    let mut acknowledge = Arguments::new();
    acknowledge.0.put_u64(tag);
    broker.say(CHANNEL, ACKNOWLEDGE, acknowledge.byte(0)).await?;
    let done = Arguments::new().short(200).text("done").short(0).short(0);
    broker.say(CONNECTION, CLOSE, done).await?;
    broker.expect(CLOSE_OK).await
}

/// Who we are. A broker that knows the capability says why it refuses a login; others hang up.
fn start_ok(user: &str, password: &str) -> Arguments {
    let mut capability = Arguments::new().text("authentication_failure_close");
    capability.0.put_slice(b"t\x01");
    let mut properties = Arguments::new().text("capabilities");
    properties.0.put_u8(b'F');
    let properties = properties.block(&capability.0);
    let response = ["", user, password].join("\0");
    Arguments::new().block(&properties.0).text("PLAIN").block(response.as_bytes()).text("en_US")
}

/// The arguments of a method, one after the other.
struct Arguments(BytesMut);

impl Arguments {
    fn new() -> Self {
        Self(BytesMut::new())
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.put_u8(byte);
        self
    }

    fn short(mut self, number: u16) -> Self {
        self.0.put_u16(number);
        self
    }

    fn long(mut self, number: usize) -> Self {
        self.0.put_u32(u32::try_from(number).unwrap_or(u32::MAX));
        self
    }

    /// Up to 255 bytes. All texts but the login are ours and short.
    fn text(mut self, text: &str) -> Self {
        self.0.put_u8(u8::try_from(text.len()).unwrap_or_default());
        self.0.put_slice(text.as_bytes());
        self
    }

    /// A long text or a table.
    fn block(self, content: &[u8]) -> Self {
        let mut with_length = self.long(content.len());
        with_length.0.put_slice(content);
        with_length
    }
}

/// Frames: a kind, a channel, a length, the content, and a byte that ends it.
struct Conversation {
    stream: TcpStream,
}

impl Conversation {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes).await?)
    }

    async fn frame(&mut self, kind: u8, channel: u16, content: &[u8]) -> Result<(), Failure> {
        let mut frame = BytesMut::new();
        frame.put_u8(kind);
        frame.put_u16(channel);
        frame.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
        frame.put_slice(content);
        frame.put_u8(END);
        self.write(&frame).await
    }

    async fn say(
        &mut self,
        channel: u16,
        (class, number): Method,
        arguments: Arguments,
    ) -> Result<(), Failure> {
        let method = Arguments::new().short(class).short(number);
        self.frame(METHOD, channel, &[&method.0[..], &arguments.0[..]].concat()).await
    }

    /// A message: its length in a header without properties, and itself.
    async fn content(&mut self, message: &[u8]) -> Result<(), Failure> {
        let mut header = Arguments::new().short(BASIC).short(0);
        header.0.put_u64(message.len() as u64);
        self.frame(HEADER, CHANNEL, &header.short(0).0).await?;
        self.frame(BODY, CHANNEL, message).await
    }

    /// The next frame that is no heartbeat.
    async fn next(&mut self) -> Result<(u8, Bytes), Failure> {
        loop {
            let mut head = [0; 7];
            self.read(&mut head).await?;
            let (kind, length) = (head[0], (&head[3..]).get_u32() as usize);
            // Who does not speak AMQP says so in clear text, or sends its own version.
            if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
                let shown = head.escape_ascii();
                return Err(Failure::Nonsense(format!("not a frame of AMQP 0-9-1: `{shown}`")));
            }
            if length > FRAME_MAX {
                return Err(Failure::Endless(FRAME_MAX));
            }
            let mut content = vec![0; length + 1];
            self.read(&mut content).await?;
            if content.pop() != Some(END) {
                return Err(Failure::Nonsense("a frame of AMQP has no end".to_owned()));
            }
            if kind != HEARTBEAT {
                return Ok((kind, content.into()));
            }
        }
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), Failure> {
        match self.stream.read_exact(into).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Failure::Closed),
            other => Ok(other.map(drop)?),
        }
    }

    async fn expect(&mut self, method: Method) -> Result<(), Trouble> {
        self.hear(&[method]).await.map(drop)
    }

    /// The next method, which has to be one of these, and its arguments.
    async fn hear(&mut self, wanted: &[Method]) -> Result<(Method, Bytes), Trouble> {
        let (kind, mut content) = self.next().await?;
        if kind != METHOD || content.len() < 4 {
            return Err(unexpected(kind, &content).into());
        }
        let method = (content.get_u16(), content.get_u16());
        match method {
            method if wanted.contains(&method) => Ok((method, content)),
            CLOSE | CHANNEL_CLOSE => Err(Trouble::Refused(refusal(content))),
            _ => Err(unexpected(kind, &content).into()),
        }
    }

    async fn read_content(&mut self) -> Result<(), Failure> {
        let (kind, mut header) = self.next().await?;
        if kind != HEADER || header.len() < 12 {
            return Err(unexpected(kind, &header));
        }
        header.advance(4);
        let mut missing = header.get_u64();
        if missing > MAX_MESSAGE {
            return Err(Failure::Endless(FRAME_MAX));
        }
        while missing > 0 {
            let (kind, part) = self.next().await?;
            if kind != BODY || part.is_empty() {
                return Err(unexpected(kind, &part));
            }
            missing = missing.saturating_sub(part.len() as u64);
        }
        Ok(())
    }
}

fn unexpected(kind: u8, content: &[u8]) -> Failure {
    let shown = content.get(..content.len().min(40)).unwrap_or_default().escape_ascii();
    Failure::Nonsense(format!("an unexpected answer of AMQP: kind {kind}, `{shown}`"))
}

/// A code and a text of up to 255 bytes.
fn refusal(mut content: Bytes) -> String {
    if content.len() < 3 {
        return "RabbitMQ closed the connection".to_owned();
    }
    let (code, length) = (content.get_u16(), usize::from(content.get_u8()));
    let text = String::from_utf8_lossy(content.get(..length).unwrap_or(&content)).into_owned();
    format!("RabbitMQ says {code} {text}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_login_is_written_as_the_standard_says() {
        let written = start_ok("me", "secret").0;
        let expected =
            b"\0\0\0\x31\x0ccapabilitiesF\0\0\0\x1f\x1cauthentication_failure_closet\x01\
                         \x05PLAIN\0\0\0\x0a\0me\0secret\x05en_US";
        assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    proptest! {
        #[test]
        fn any_refusal_is_read_without_harm(content in prop::collection::vec(any::<u8>(), 0..300)) {
            refusal(content.into());
        }
    }
}
