use super::support::{Reply, Server, repository};
use crate::upstream::{TagList, UpstreamError};

#[tokio::test]
async fn lists_a_page_of_tags() {
    let server = Server::start(|_| {
        Reply::json(r#"{"name":"acme/app","tags":["a","b"]}"#)
            .header("link", r#"</v2/acme/app/tags/list?n=2&last=b>; rel="next""#)
    })
    .await;
    let upstream = server.upstream();
    let list = upstream.list_tags(&repository(), Some(2), Some("0&x")).await.unwrap();
    assert_eq!(list, TagList { tags: vec!["a".to_owned(), "b".to_owned()], more: true });
    upstream.list_tags(&repository(), None, None).await.unwrap();
    let wanted = ["/v2/acme/app/tags/list?n=2&last=0%26x", "/v2/acme/app/tags/list"];
    assert_eq!(server.paths(), wanted);
}

#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list() {
    let server = Server::start(|_| Reply::json(r#"{"name":"acme/app","tags":null}"#)).await;
    let list = server.upstream().list_tags(&repository(), None, None).await.unwrap();
    assert_eq!(list, TagList { tags: vec![], more: false });
}

#[tokio::test]
async fn what_is_no_list_of_tags_is_an_error() {
    for reply in [Reply::html(200), Reply::json("{"), Reply::json("[]"), Reply::ok("")] {
        let server = Server::start(move |_| reply.clone()).await;
        let outcome = server.upstream().list_tags(&repository(), None, None).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{outcome:?}");
    }
    let server = Server::start(|_| Reply::new(404)).await;
    let outcome = server.upstream().list_tags(&repository(), None, None).await;
    assert_eq!(outcome, Err(UpstreamError::NotFound));
}

#[tokio::test]
async fn g36_a_list_without_end_is_cut() {
    let long = format!(r#"{{"tags":["{}"]}}"#, "a".repeat(8 << 20));
    let server = Server::start(move |_| Reply::json(long.clone())).await;
    let outcome = server.upstream().list_tags(&repository(), None, None).await;
    assert!(matches!(outcome, Err(UpstreamError::Limit { .. })), "{outcome:?}");
}
