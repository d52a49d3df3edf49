//! Claims about keys in a settings file.

use std::path::PathBuf;

use std::fs::{self, File};

use super::*;

const A: &str = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
const B: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
const ODD: &str = "it's odd with $x and \"q\" in it";

struct Settings {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Settings {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { _folder: folder, path }
    }

    fn change(&self, how: Change, in_force: &str) -> Result<Material, Unchanged> {
        change(&self.path, how, kid(in_force), &Secret::new(B.to_owned()))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

fn kid(text: &str) -> Kid {
    SecretKey::parse(Secret::new(text.to_owned())).unwrap().kid()
}

#[test]
fn a_rotation_moves_each_key_one_place_on() {
    let settings = Settings::new(&format!("# mine\nSECRET_KEY={A}\nDEBUG=true\n"));
    let now = settings.change(Change::Rotate, A).unwrap();
    assert_eq!(settings.text(), format!("# mine\nSECRET_KEY={B}\nDEBUG=true\nSECRET_KEY_PREVIOUS={A}\n"));
    assert_eq!((now.current.kid(), now.previous[0].kid(), now.next.len()), (kid(B), kid(A), 0));
}

#[test]
fn a_staged_key_is_the_one_that_is_promoted() {
    let settings = Settings::new(&format!("SECRET_KEY={ODD}\nSECRET_KEY_PREVIOUS=\"{A}, {A}\"\n"));
    let staged = settings.change(Change::Stage, ODD).unwrap();
    assert_eq!((staged.current.kid(), staged.next[0].kid()), (kid(ODD), kid(B)));
    assert!(settings.change(Change::Stage, ODD).unwrap_err().contains("SECRET_KEY_NEXT already"));
    let promoted = settings.change(Change::Rotate, ODD).unwrap();
    let previous: Vec<Kid> = promoted.previous.iter().map(SecretKey::kid).collect();
    assert_eq!((promoted.current.kid(), promoted.next.len()), (kid(B), 0));
    assert_eq!(previous, [kid(ODD), kid(A), kid(A)]);
    assert!(settings.text().ends_with("SECRET_KEY_NEXT=\n"), "{}", settings.text());
}

#[test]
fn an_emergency_keeps_every_key_until_it_is_told_to_forget_them() {
    let settings = Settings::new(&format!("SECRET_KEY={A}\nSECRET_KEY_PREVIOUS={ODD}\nSECRET_KEY_NEXT=x\n"));
    let now = settings.change(Change::Supersede, A).unwrap();
    let previous: Vec<Kid> = now.previous.iter().map(SecretKey::kid).collect();
    assert_eq!((now.current.kid(), now.next.len()), (kid(B), 0));
    assert_eq!(previous, [kid(A), kid("x"), kid(ODD)]);
    let now = settings.change(Change::Forget, B).unwrap();
    assert_eq!((now.current.kid(), now.previous.len(), now.next.len()), (kid(B), 0, 0));
    assert_eq!(settings.text(), format!("SECRET_KEY={B}\nSECRET_KEY_PREVIOUS=\nSECRET_KEY_NEXT=\n"));
}

#[test]
fn a_file_that_is_not_what_is_in_force_stays_as_it_is() {
    for (text, part) in [
        (format!("SECRET_KEY={B}\n"), "another SECRET_KEY"),
        ("DEBUG=true\n".to_owned(), "does not set SECRET_KEY"),
        (format!("SECRET_KEY={A}\nnonsense\n"), "cannot be read"),
    ] {
        let settings = Settings::new(&text);
        let why = settings.change(Change::Rotate, A).unwrap_err();
        assert!(why.contains(part) && !why.contains(A) && !why.contains(B), "{why}");
        assert_eq!(settings.text(), text);
    }
    let locked = Settings::new(&format!("SECRET_KEY={A}\n"));
    let holder = File::open(&locked.path).unwrap();
    holder.lock().unwrap();
    assert!(locked.change(Change::Rotate, A).unwrap_err().contains("somebody else"));
}

#[test]
fn mode_and_link_stay_and_nothing_is_left_beside() {
    use std::os::unix::fs::PermissionsExt;
    let settings = Settings::new(&format!("SECRET_KEY={A}\n"));
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(".env");
    std::os::unix::fs::symlink(&settings.path, &link).unwrap();
    change(&link, Change::Rotate, kid(A), &Secret::new(B.to_owned())).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(settings.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(settings.text().contains(B));
    assert_eq!(fs::read_dir(settings.path.parent().unwrap()).unwrap().count(), 1);
}
