//! The examples run, in small.

#[expect(dead_code, reason = "`main` reads the command line, which is that of the tests here")]
#[path = "../examples/look_at_filters.rs"]
mod look_at_filters;
#[expect(dead_code, reason = "`main` reads the command line, which is that of the tests here")]
#[path = "../examples/train_on_a_folder.rs"]
mod train_on_a_folder;

#[test]
fn look_at_filters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filters.png");
    look_at_filters::run(100, Some(&file)).unwrap();
    assert!(std::fs::read(file).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn train_on_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    train_on_a_folder::draw(folder.path()).unwrap();
    let accuracy = train_on_a_folder::run(folder.path()).unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
}
