//! From a drain call to the last request that the drained server gets through HAProxy.

use std::time::Duration;

use end_to_end::{docker::unique, web};
use tokio::time::Instant;

use crate::{
    Failure,
    arguments::Measurement,
    figures::{Figures, Pace},
    floor::Floor,
    load::Load,
    report::{Aim, Line},
    scene::{Pool, Scene},
};

/// A server is out of service when it was silent for so long under load.
const QUIET: Duration = Duration::from_millis(250);

/// How a server is taken out and brought back.
struct Calls {
    port: u16,
    down: (String, &'static str),
    up: (String, &'static str),
}

/// Drains one of two containers under load, again and again.
pub(crate) async fn measure(
    scene: &Scene,
    measurement: Measurement,
    pace: Pace,
) -> Result<Vec<Line>, Failure> {
    let pool = scene.pool(measurement)?;
    let drained = scene.docker.serve(&unique("bench"), &pool.namespace)?;
    let _stays = scene.docker.serve(&unique("bench"), &pool.namespace)?;
    let calls = calls(scene, measurement, &pool, drained.port()?);
    scene.settled(&pool, 2).await;
    let mut load = Load::on(pool.port);
    let (mut last, mut answered) = (Vec::new(), Vec::new());
    while pace.goes_on(last.len()) {
        load.first_from(&drained.name, Instant::now()).await?;
        let called = Instant::now();
        let (silent, accepted) = tokio::try_join!(
            async { Ok(load.last_from(&drained.name, called, QUIET).await?) },
            post(calls.port, &calls.down),
        )?;
        last.push(silent - called);
        answered.push(accepted - called);
        post(calls.port, &calls.up).await?;
        scene.settled(&pool, 2).await;
    }
    let line = |what, samples| Line::new(measurement, what, Figures::of(samples));
    Ok(vec![
        line("call -> last request of the drained server", last)
            .with_aim(Aim::DRAIN)
            .over(Floor::Command)
            .under(load.tally()),
        line("call -> its answer", answered),
    ])
}

fn calls(scene: &Scene, measurement: Measurement, pool: &Pool, port: u16) -> Calls {
    let namespace = &pool.namespace;
    if measurement == Measurement::Drain {
        let path = |verb: &str| format!("/{verb}?target={namespace}:{port}");
        let (down, up) = ((path("drain"), ""), (path("undrain"), ""));
        return Calls { port: scene.host.admin.number, down, up };
    }
    let path = format!("/spool/{namespace}/{port}/status");
    let down = (path.clone(), "status=down&reason=bench");
    Calls { port: scene.host.hacheck.number, down, up: (path, "status=up") }
}

/// When the call was answered.
async fn post(port: u16, (path, form): &(String, &'static str)) -> Result<Instant, Failure> {
    let (status, body) = web::post(port, path, form).await?;
    if status != 200 {
        return Err(format!("POST {path}: {status} {body}").into());
    }
    Ok(Instant::now())
}
