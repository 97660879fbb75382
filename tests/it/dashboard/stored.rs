//! What clients have stored: listed and deleted by the operator, on the dashboard and by the admin API.

use serde_json::{Value, json};

use super::Browser;
use crate::harness::binary::command;
use crate::harness::{Answer, Request, TestServer};

fn context(server: &TestServer, key: &str, name: &str) -> String {
    let body = json!({"name": name, "messages": [{"role": "user", "content": "secret words"}]});
    let made = server.call(key, Request::post("/v1/contexts", &body)).expect(200).json();
    made["id"].as_str().unwrap().to_owned()
}

fn file(server: &TestServer, key: &str, filename: &str) -> Answer {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--b\r\nContent-Disposition: \
         form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\nsecret words\r\n--b--\r\n"
    );
    let upload = Request::new("POST", "/v1/files").header("Content-Type", "multipart/form-data; boundary=b");
    server.call(key, upload.body(body)).expect(200)
}

fn audited(server: &TestServer, action: &str) -> Vec<Value> {
    let found = server.admin(Request::get(&format!("/admin/v1/audit?action={action}"))).expect(200).json();
    found["data"].as_array().unwrap().clone()
}

#[test]
fn contexts_are_listed_without_what_was_said_and_deleted_for_good() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({"name": "<i>maker</i>"}));
    let browser = Browser::sign_in(&server);
    assert!(browser.page("/contexts").contains("No contexts"));
    let (kept, gone) = (context(&server, &key, "kept"), context(&server, &key, "<b>مفتاح</b>"));
    let html = browser.page("/contexts");
    assert!(html.contains("&#60;b&#62;مفتاح&#60;/b&#62;") && html.contains("&#60;i&#62;maker"), "{html}");
    assert!(!html.contains("secret words"));
    assert!(browser.page(&format!("/contexts/{gone}/delete")).contains("Delete this context?"));

    let deleted = browser.post(&format!("/contexts/{gone}/delete"), &[]).expect(303);
    assert_eq!(deleted.header("location"), Some("/contexts"));
    assert!(browser.page("/contexts").contains(&format!("The context {gone} is deleted.")));
    server.call(&key, Request::get(&format!("/v1/contexts/{gone}"))).expect_error(404, "not_found");
    server.call(&key, Request::get(&format!("/v1/contexts/{kept}"))).expect(200);
    browser.get(&format!("/contexts/{gone}/delete")).expect(404);
    browser.post(&format!("/contexts/{gone}/delete"), &[]).expect(404);
    let noted = audited(&server, "context.delete");
    assert_eq!((noted.len(), &noted[0]["target"]), (1, &json!(gone)));
    assert_eq!(noted[0]["actor"], json!({"via": "dashboard"}));
    assert_eq!(noted[0]["before"]["created_by"], record["id"]);
    assert!(!noted[0].to_string().contains("secret words"));
}

#[test]
fn files_are_listed_without_what_is_in_them_and_their_space_is_given_back() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let browser = Browser::sign_in(&server);
    assert!(browser.page("/files").contains("No files"));
    let made = file(&server, &key, "<b>notes</b>.txt").json();
    let id = made["id"].as_str().unwrap();
    let html = browser.page("/files");
    assert!(html.contains("&#60;b&#62;notes&#60;/b&#62;.txt") && html.contains("12 B of at most"), "{html}");
    browser.post(&format!("/files/{id}/delete"), &[]).expect(303);
    assert!(browser.page("/files").contains("0 B of at most"));
    server.call(&key, Request::get(&format!("/v1/files/{id}/content"))).expect_error(404, "not_found");
    let noted = audited(&server, "file.delete");
    assert_eq!((noted.len(), &noted[0]["before"]["sha256"]), (1, &made["sha256"]));
}

#[test]
fn the_admin_api_lists_and_deletes_them_page_by_page() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({}));
    let contexts: Vec<_> = ["a", "b", "c"].map(|name| context(&server, &key, name)).into();
    for name in ["a.txt", "b.txt"] {
        file(&server, &key, name);
    }
    let get = |path: &str| server.admin(Request::get(path)).expect(200).json();
    let first = get("/admin/v1/contexts?limit=2");
    assert_eq!((&first["data"][0]["id"], &first["has_more"]), (&json!(contexts[2]), &json!(true)));
    assert_eq!(first["data"][0]["messages"], 1);
    assert_eq!(first["data"][0]["created_by"], record["id"]);
    let second = get(&format!("/admin/v1/contexts?limit=2&after={}", first["last_id"].as_str().unwrap()));
    assert_eq!((&second["data"][0]["id"], &second["has_more"]), (&json!(contexts[0]), &json!(false)));
    let files = get("/admin/v1/files");
    let id = files["data"][0]["id"].as_str().unwrap();
    assert_eq!((&files["data"][0]["filename"], &files["data"][0]["bytes"]), (&json!("b.txt"), &json!(12)));
    let stored = &get("/admin/v1/server")["stored"];
    assert_eq!(
        stored,
        &json!({"contexts": 3, "files": 2, "file_bytes": 24, "most_file_bytes": 10_737_418_240_u64})
    );

    let deleted = server.admin(Request::new("DELETE", &format!("/admin/v1/files/{id}"))).expect(200).json();
    assert_eq!(deleted, json!({"id": id, "object": "file", "deleted": true}));
    server.admin(Request::new("DELETE", &format!("/admin/v1/files/{id}"))).expect_error(404, "not_found");
    let deleted = server.admin(Request::new("DELETE", &format!("/admin/v1/contexts/{}", contexts[1])));
    assert_eq!(deleted.expect(200).json(), json!({"id": contexts[1], "object": "context", "deleted": true}));
    server.admin(Request::new("DELETE", "/admin/v1/contexts/nothing")).expect_error(404, "not_found");
    server.admin(Request::get("/admin/v1/contexts?after=nothing")).expect_error(400, "invalid_request");
    assert_eq!(audited(&server, "context.delete")[0]["actor"], json!({"via": "token"}));
}

#[test]
fn commands_list_and_delete_them() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let (context, file) = (context(&server, &key, "support"), file(&server, &key, "notes.txt").json());
    let file = file["id"].as_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = command(&server.folder, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, out, _) = run(&["contexts"]);
    assert!(
        status == Some(0) && out.contains(&context) && out.contains("support") && out.contains("1 context."),
        "{out}"
    );
    let (status, out, _) = run(&["files"]);
    assert!(status == Some(0) && out.contains(file) && out.contains("12 B"), "{out}");
    let (status, _, err) = run(&["files", "delete", file]);
    assert!(status == Some(2) && err.contains("--yes"), "{err}");
    let (status, out, _) = run(&["files", "delete", file, "--yes"]);
    assert_eq!((status, out), (Some(0), format!("Deleted the file {file}.\n")));
    let (status, _, err) = run(&["files", "delete", file, "--yes"]);
    assert!(status == Some(1) && err.contains("There is no file with this id"), "{err}");
    run(&["contexts", "delete", &context, "--yes"]);
    assert_eq!(run(&["contexts"]).1, "No contexts.\n");
    let listed: Value = serde_json::from_str(&run(&["contexts", "--json"]).1).unwrap();
    assert_eq!(listed["data"], json!([]));
}
