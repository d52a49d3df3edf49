//! `init`: a folder to start from.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use fastcms_guard::ids::{SystemRng, hex};

use super::{DatabaseKind, Failure, Outcome};

pub fn init(dir: &Path, database: DatabaseKind) -> Outcome {
    if dir.exists() && dir.read_dir()?.next().is_some() {
        return Err(Failure::new(format!("error: `{}` exists and is not empty: choose another folder", dir.display())));
    }
    for folder in ["data/files", "plugins", "hooks"] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    private_folder(&dir.join("data"))?;
    write(&dir.join(".env"), &settings(database), 0o600)?;
    write(&dir.join(".gitignore"), "/data\n/.env\n", 0o644)?;
    write(&dir.join("README.md"), README, 0o644)?;
    say!("`{}` is ready: `cd {}` and run `fastcms dev`", dir.display(), dir.display())?;
    Ok(ExitCode::SUCCESS)
}

fn settings(database: DatabaseKind) -> String {
    let url = match database {
        DatabaseKind::Sqlite => "sqlite:///./data/app.db",
        DatabaseKind::Postgres => "postgresql://fastcms@127.0.0.1:5432/fastcms",
    };
    let secret = hex::<32>(&SystemRng);
    format!(
        "# Settings of this instance. Readable by you alone: keep it so, and keep it out of version control.\n\
         ENVIRONMENT=development\n\
         SECRET_KEY={secret}\n\
         DATABASE_URL={url}\n\
         ACCESS_TOKEN_EXPIRE_MINUTES=15\n\
         CORS_ORIGINS=http://localhost:3000,http://localhost:8000\n"
    )
}

const README: &str = "# A FastCMS instance

- `fastcms dev` runs it on this machine, with the API docs at http://127.0.0.1:8000/docs
- `.env` holds its settings, the secret key among them; `data/` holds everything it stores
- `fastcms config` shows every setting in force and where it came from
- for production set `ENVIRONMENT=production` and `BASE_URL=https://…`, and run `fastcms serve`
";

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)?.write_all(text.as_bytes())?;
    Ok(())
}

fn private_folder(path: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
