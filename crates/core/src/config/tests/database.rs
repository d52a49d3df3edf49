//! Where data is kept: a file, wherever its folder is, or a server, whoever stands between.

use std::fs;

use fastcms_store::TlsMode;

use super::super::{Command, Config, Engine};
use super::World;

#[test]
fn production_finds_out_who_the_server_is_that_its_data_goes_to() {
    let mode = |world: World| world.config().database.url.tls_mode();
    let remote = "postgresql://u:p@db.example/d";
    assert_eq!(mode(World::production(&[("DATABASE_URL", remote)])), Some(TlsMode::VerifyFull));
    assert_eq!(mode(World::new(&[("DATABASE_URL", remote)])), Some(TlsMode::Prefer));
    for local in [
        "postgresql://u:p@127.0.0.1/d",
        "postgresql://u:p@[::1]/d",
        "postgresql://u:p@localhost/d",
        "postgresql:///d?host=/run/postgresql&user=u",
    ] {
        let world = World::production(&[("DATABASE_URL", local)]);
        assert!(world.warnings().is_empty(), "{local}: {:?}", world.warnings());
        assert_eq!(mode(world), Some(TlsMode::Prefer), "{local}");
        let off = format!("{local}{}sslmode=disable", if local.contains('?') { '&' } else { '?' });
        assert_eq!(mode(World::production(&[("DATABASE_URL", &off)])), Some(TlsMode::Disable), "{local}");
    }
    for (weak, warned) in [("prefer", true), ("require", true), ("verify-ca", true), ("verify-full", false)] {
        let world = World::production(&[("DATABASE_URL", &format!("{remote}?sslmode={weak}"))]);
        let found = world.config().warnings.iter().any(|warning| warning.to_string().contains(weak));
        assert_eq!(found, warned, "{weak}: {:?}", world.warnings());
        assert_eq!(mode(world).map(TlsMode::as_str), Some(weak), "what was said holds");
    }
    let off = format!("{remote}?sslmode=disable");
    let refused = World::production(&[("DATABASE_URL", &off)]).lines();
    assert!(refused.len() == 1 && refused[0].starts_with("DATABASE_URL: "), "{refused:?}");
    assert_eq!(mode(World::new(&[("DATABASE_URL", &off)])), Some(TlsMode::Disable), "outside of production");
}

#[cfg(unix)]
#[test]
fn a_file_lies_in_the_folder_that_was_meant_whatever_that_is_called() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    for name in [&b"a?b"[..], b"a%20b#c", b"n\xffx"] {
        let mut world = World::new(&[]);
        world.sources.directory = world.folder.path().join(OsStr::from_bytes(name));
        fs::create_dir(&world.sources.directory).unwrap();
        let database = Config::load(&world.sources, Command::Serve).unwrap().database;
        let wanted = world.sources.directory.join("./data/app.db");
        assert_eq!(database.url.path(), Some(wanted.as_path()));
        assert_eq!(database.engine, Engine::Sqlite { path: wanted });
    }
}
