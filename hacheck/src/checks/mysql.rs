//! The `mysql` check: a login with a password, and a proper end (hacheck.md §7).
//!
//! Speaks `mysql_native_password`, and `caching_sha2_password` as far as it goes without TLS: for
//! users that the server has seen log in since its start.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    connect::{Way, connect},
    outcome::{Answered, Failure},
};
use crate::settings::Login;

/// Longest packet that is read; those of a login are short.
const MAX_PACKET: usize = 16 * 1024;
/// Protocol 4.1, challenge and answer, the name of the method.
const CAPABILITIES: u32 = 0x0008_8200;
const UTF8: u8 = 0x21;
const NATIVE: &[u8] = b"mysql_native_password";
const CACHING: &[u8] = b"caching_sha2_password";
const QUIT: &[u8] = &[1];
/// The server knows the user and has let him in.
const KNOWN: u8 = 3;
/// A login may change its method once; more is a loop.
const MAX_TURNS: usize = 5;

/// # Errors
/// Those of the connection; what the server refuses is an answer.
pub(super) async fn ask(way: Way, login: Option<&Login>) -> Result<Answered, Failure> {
    let Some(login) = login else {
        // Spelled as it always was.
        return Ok((500, Bytes::from_static(b"No MySQL username/pasword in config file")));
    };
    let mut server = Conversation { stream: connect(way).await?, sequence: 0 };
    let greeting = server.hear().await?;
    let hello = match greeting.first() {
        Some(0xff) => return Ok(refused(&greeting)),
        _ => Hello::read(&greeting).ok_or_else(|| nonsense("handshake", &greeting))?,
    };
    server.say(&answer_to(&hello, login)).await?;
    let mut method = hello.method;
    for _ in 0..MAX_TURNS {
        let packet = server.hear().await?;
        match packet.first() {
            Some(0) => {
                // Whether it hears the end does not matter any more.
                server.sequence = 0;
                let _ = server.say(QUIT).await;
                return Ok((200, Bytes::from_static(b"MySQL connect response: OK")));
            }
            Some(0xff) => return Ok(refused(&packet)),
            Some(0xfe) => {
                let challenge;
                (method, challenge) =
                    other_method(&packet).ok_or_else(|| nonsense("change of method", &packet))?;
                server.say(&proof(&method, &challenge, login)).await?;
            }
            Some(1) if method == CACHING && packet.get(1) == Some(&KNOWN) => {}
            Some(1) if method == CACHING => {
                return Ok((
                    500,
                    Bytes::from_static(
                        b"MySQL wants a login over TLS; give the user mysql_native_password",
                    ),
                ));
            }
            _ => return Err(nonsense("answer", &packet)),
        }
    }
    Err(Failure::Nonsense("MySQL changes the method of the login again and again".to_owned()))
}

fn nonsense(what: &str, packet: &[u8]) -> Failure {
    let shown = packet.get(..packet.len().min(100)).unwrap_or_default().escape_ascii();
    Failure::Nonsense(format!("not a {what} of MySQL: `{shown}`"))
}

/// An error packet: a code and a text.
fn refused(packet: &[u8]) -> Answered {
    let code = packet.get(1..3).map_or(0, |mut code| code.get_u16_le());
    let text = String::from_utf8_lossy(packet.get(3..).unwrap_or_default());
    (500, format!("MySQL sez {code} {text}").into())
}

/// Packets: three bytes of length, one that counts, and the content.
struct Conversation {
    stream: TcpStream,
    sequence: u8,
}

impl Conversation {
    async fn hear(&mut self) -> Result<Vec<u8>, Failure> {
        let mut head = [0; 4];
        match self.stream.read_exact(&mut head).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Failure::Closed);
            }
            other => other?,
        };
        let [a, b, c, sequence] = head;
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if length > MAX_PACKET {
            return Err(Failure::Endless(MAX_PACKET));
        }
        self.sequence = sequence.wrapping_add(1);
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content).await?;
        Ok(content)
    }

    async fn say(&mut self, content: &[u8]) -> Result<(), Failure> {
        let mut packet = BytesMut::new();
        packet.put_uint_le(content.len() as u64, 3);
        packet.put_u8(self.sequence);
        packet.put_slice(content);
        Ok(self.stream.write_all(&packet).await?)
    }
}

/// What of the server's first packet matters.
#[derive(Debug, PartialEq)]
struct Hello {
    method: Vec<u8>,
    challenge: Vec<u8>,
}

impl Hello {
    /// Version 10, the only one since 1998.
    fn read(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(&[10])?;
        let (_version, rest) = split_at_zero(rest)?;
        let first = rest.get(4..12)?;
        // Flags, charset and status lie between the two parts of the challenge.
        let rest = rest.get(13 + 7..)?;
        let length = usize::from(*rest.first()?);
        let rest = rest.get(11..)?;
        let second = rest.get(..length.saturating_sub(8).max(13))?;
        let method = rest.get(second.len()..)?;
        let method = split_at_zero(method).map_or(method, |(method, _)| method);
        let challenge = [first, second.strip_suffix(&[0]).unwrap_or(second)].concat();
        let method = if method.is_empty() { NATIVE } else { method };
        Some(Self { method: method.to_owned(), challenge })
    }
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Who we are, and the proof for the method that the server prefers.
fn answer_to(hello: &Hello, login: &Login) -> BytesMut {
    // A server that prefers a method that we do not know offers another one.
    let method = if hello.method == CACHING { CACHING } else { NATIVE };
    let proof = proof(method, &hello.challenge, login);
    let mut answer = BytesMut::new();
    answer.put_u32_le(CAPABILITIES);
    answer.put_u32_le(1024);
    answer.put_u8(UTF8);
    answer.put_bytes(0, 23);
    answer.put_slice(login.user.replace('\0', "").as_bytes());
    answer.put_u8(0);
    answer.put_u8(u8::try_from(proof.len()).unwrap_or_default());
    answer.put_slice(&proof);
    answer.put_slice(method);
    answer.put_u8(0);
    answer
}

/// The server wants another method: its name and a new challenge.
fn other_method(packet: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (method, challenge) = split_at_zero(packet.get(1..)?)?;
    let challenge = challenge.strip_suffix(&[0]).unwrap_or(challenge);
    Some((method.to_owned(), challenge.to_owned()))
}

/// Shows that we know the password without saying it.
fn proof(method: &[u8], challenge: &[u8], login: &Login) -> Vec<u8> {
    let password = login.password.expose().as_bytes();
    if password.is_empty() {
        return Vec::new();
    }
    let (algorithm, challenge_first): (&'static Algorithm, bool) =
        if method == CACHING { (&SHA256, false) } else { (&SHA1_FOR_LEGACY_USE_ONLY, true) };
    let once = digest(algorithm, password);
    let twice = digest(algorithm, once.as_ref());
    let mixed = if challenge_first {
        [challenge, twice.as_ref()].concat()
    } else {
        [twice.as_ref(), challenge].concat()
    };
    let mask = digest(algorithm, &mixed);
    once.as_ref().iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Secret;

    fn login(password: &str) -> Login {
        Login { user: "check".into(), password: Secret::new(password) }
    }

    fn greeting(method: &[u8]) -> Vec<u8> {
        let mut packet = b"\x0a5.7.0\0".to_vec();
        packet.extend(7u32.to_le_bytes());
        packet.extend(b"abcdefgh\0\xff\xf7\x21\x02\0\xff\x81\x15");
        packet.extend([0; 10]);
        packet.extend(b"ijklmnopqrst\0");
        packet.extend(method);
        packet
    }

    #[test]
    fn the_challenge_comes_in_two_parts_and_the_method_may_be_missing() {
        let challenge = b"abcdefghijklmnopqrst".to_vec();
        for (named, method) in [
            (&b"mysql_native_password\0"[..], NATIVE),
            (b"caching_sha2_password\0", CACHING),
            (b"caching_sha2_password", CACHING),
            (b"", NATIVE),
        ] {
            let expected = Hello { method: method.to_owned(), challenge: challenge.clone() };
            assert_eq!(Hello::read(&greeting(named)), Some(expected));
        }
        assert_eq!(Hello::read(b"\x09old"), None);
        assert_eq!(Hello::read(&greeting(b"")[..30]), None);
    }

    #[test]
    fn the_proof_is_the_one_that_the_server_computes() {
        // What the server keeps is the double digest; it takes its mask off and compares.
        let challenge = b"abcdefghijklmnopqrst";
        for (method, algorithm) in [(NATIVE, &SHA1_FOR_LEGACY_USE_ONLY), (CACHING, &SHA256)] {
            let proof = proof(method, challenge, &login("s3cret"));
            let kept = digest(algorithm, digest(algorithm, b"s3cret").as_ref());
            let mixed = match method {
                NATIVE => [&challenge[..], kept.as_ref()].concat(),
                _ => [kept.as_ref(), &challenge[..]].concat(),
            };
            let mask = digest(algorithm, &mixed);
            let once: Vec<u8> = proof.iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect();
            assert_eq!(digest(algorithm, &once).as_ref(), kept.as_ref());
        }
        assert!(proof(NATIVE, challenge, &login("")).is_empty());
    }

    proptest! {
        #[test]
        fn any_packet_is_read_without_harm(packet in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Hello::read(&packet);
            other_method(&packet);
            refused(&packet);
        }
    }
}
