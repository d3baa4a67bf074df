//! HAProxy's statistics as CSV, of any version since 1.5.

/// One server as HAProxy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// The backend it is in.
    pub backend: String,
    pub name: String,
    /// `UP`, `UP 1/2`, `DOWN`, `MAINT`, `DRAIN`, `NOLB`, `no check`.
    pub status: String,
    /// Address and port; missing in old versions, and on pages that do not show legends.
    pub address: Option<String>,
    /// Connections to it now.
    pub sessions: u64,
    /// Requests that wait for it now.
    pub queued: u64,
}

/// A text that is no statistics of HAProxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer is no statistics in CSV")]
pub struct Unreadable;

/// All servers in `text`.
///
/// # Errors
/// When it is no such text, or a line of it is not complete.
pub fn servers(text: &str) -> Result<Vec<Server>, Unreadable> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or(Unreadable)?;
    let header = fields(header);
    let column = |name: &str| header.iter().position(|column| column == name).ok_or(Unreadable);
    let (backend, name, status) = (column("pxname")?, column("svname")?, column("status")?);
    let (sessions, queued, address) = (column("scur")?, column("qcur")?, column("addr").ok());
    let mut servers = Vec::new();
    for line in lines {
        let fields = fields(line);
        let field = |at: usize| fields.get(at).map(String::as_str).ok_or(Unreadable);
        if matches!(field(name)?, "FRONTEND" | "BACKEND") {
            continue;
        }
        let number = |at| match field(at)? {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| Unreadable),
        };
        servers.push(Server {
            backend: field(backend)?.to_owned(),
            name: field(name)?.to_owned(),
            status: field(status)?.to_owned(),
            address: address.and_then(|at| fields.get(at)).filter(|a| !a.is_empty()).cloned(),
            sessions: number(sessions)?,
            queued: number(queued)?,
        });
    }
    Ok(servers)
}

/// A field with a comma or a quote stands in quotes, doubled inside.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_read_and_what_is_none_is_left_out() {
        let text = "# pxname,svname,qcur,qmax,scur,smax,status,last_chk,addr,\n\
                    web.main,FRONTEND,,,1,1,OPEN,,,\n\
                    web.main,a_127.0.0.1:80,2,0,3,5,UP 1/2,\"a,\"\"b\"\"\",127.0.0.1:80,\n\
                    web.main,b,,0,0,0,no check,,,\n\
                    web.main,BACKEND,0,0,0,0,UP,,,\n\n";
        let (web, a, b) = ("web.main".to_owned(), "a_127.0.0.1:80".to_owned(), "b".to_owned());
        let expected = [
            Server {
                backend: web.clone(),
                name: a,
                status: "UP 1/2".into(),
                address: Some("127.0.0.1:80".into()),
                sessions: 3,
                queued: 2,
            },
            Server { backend: web, name: b, status: "no check".into(), ..Server::default() },
        ];
        assert_eq!(servers(text), Ok(expected.into()));
        assert_eq!(servers("# pxname,svname,status,scur,qcur\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_statistics_is_not_taken_for_no_servers() {
        for text in [
            "",
            "Unknown command.\n",
            "<html></html>",
            "# pxname,svname,scur,qcur\n",
            "# pxname,svname,status,scur,qcur\nweb.main,a,UP\n",
            "# pxname,svname,status,scur,qcur\nweb.main,a,UP,many,0\n",
        ] {
            assert_eq!(servers(text), Err(Unreadable), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "(# pxname,svname,status,scur,qcur\n)?[a-z,\"\n0-9#]{0,60}") {
            let _ = servers(&text);
        }
    }
}
