//! From a record of another host, as it comes and goes, to HAProxy.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Failure,
    arguments::Measurement,
    figures::{Figures, Pace},
    floor::Floor,
    foreign::Foreign,
    load::Load,
    report::{Aim, Line},
    scene::Scene,
};

/// A server is out of service when it was silent for so long under load.
const QUIET: Duration = Duration::from_millis(250);

/// Writes and deletes the record of one of two servers under load, again and again.
pub(crate) async fn measure(scene: &Scene, pace: Pace) -> Result<Vec<Line>, Failure> {
    let pool = scene.pool(Measurement::Znode)?;
    let (stays, foreign) = (Foreign::start().await?, Foreign::start().await?);
    stays.register(&scene.client, &pool).await?;
    scene.settled(&pool, 1).await;
    let mut load = Load::on(pool.port);
    let (mut first, mut last) = (Vec::new(), Vec::new());
    while pace.goes_on(first.len()) {
        let called = Instant::now();
        let (path, served) = tokio::try_join!(foreign.register(&scene.client, &pool), async {
            Ok(load.first_from(&foreign.name, called).await?)
        },)?;
        first.push(served - called);
        scene.settled(&pool, 2).await;
        load.first_from(&foreign.name, Instant::now()).await?;
        let called = Instant::now();
        let ((), silent) = tokio::try_join!(
            async { Ok::<_, Failure>(scene.client.delete(&path, None).await?) },
            async { Ok(load.last_from(&foreign.name, called, QUIET).await?) },
        )?;
        last.push(silent - called);
        scene.settled(&pool, 1).await;
    }
    let line = |what, samples| Line::new(Measurement::Znode, what, Figures::of(samples));
    Ok(vec![
        line("create called -> first request through haproxy", first)
            .with_aim(Aim::ZNODE)
            .over(Floor::Server)
            .under(load.tally()),
        line("delete called -> last request through haproxy", last)
            .with_aim(Aim::ZNODE)
            .over(Floor::Server),
    ])
}
