use super::*;
use serde_json::Value;

/// Microsoft publishes it for emulators: nothing is protected by it.
const EMULATORS_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// As azure-storage-blob 12.31.1 signs the same calls.
#[test]
fn calls_are_signed_as_microsofts_library_signs_them() {
    let lines = include_str!("../../../../tests/vectors/azure_blob.jsonl").lines();
    let mut signed = 0;
    for line in lines {
        let call: Value = serde_json::from_str(line).unwrap();
        let text = |at: usize| call[at].as_str().unwrap();
        let mut headers = vec![("x-ms-version", VERSION)];
        if call[3]["x-ms-delete-snapshots"] == "include" {
            headers.push(("x-ms-delete-snapshots", "include"));
        }
        let key = Arc::new(SecretString::from(EMULATORS_KEY));
        let signer = SharedKey { account: text(0).to_owned(), key, headers };
        let made = signer.authorization(text(1), &Url::parse(text(2)).unwrap(), "Mon, 30 Nov 2026 01:02:03 GMT");
        assert_eq!(made, text(4), "{}", text(2));
        signed += 1;
    }
    assert_eq!(signed, 5);
}

#[test]
fn names_are_read_as_they_are() {
    let name = |xml: &str| {
        let list = format!(
            "<EnumerationResults ContainerName=\"c\"><Blobs><Blob>{xml}<Properties/></Blob></Blobs><NextMarker/></EnumerationResults>"
        );
        let list: BlobList = quick_xml::de::from_str(&list).unwrap();
        list.blobs.blob[0].name.plain()
    };
    assert_eq!(name("<Name>a/b &amp; c</Name>"), "a/b & c");
    assert_eq!(name("<Name> a  </Name>"), " a  ");
    assert_eq!(name("<Name Encoded=\"true\">a%EF%BF%BE%25+&amp;</Name>"), "a\u{fffe}%+&");
    assert_eq!(name("<Name>a%20+b</Name>"), "a%20+b");
}

/// As the page about List Blobs shows it.
#[test]
fn what_is_listed_is_told_apart() {
    let list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://x/\" ContainerName=\"c\">\
        <Prefix>a</Prefix><MaxResults>5</MaxResults><Blobs>\
        <Blob><Name>a</Name><VersionId>1</VersionId><IsCurrentVersion>true</IsCurrentVersion><Properties><Etag>x</Etag></Properties></Blob>\
        <Blob><Name>a</Name><VersionId>0</VersionId><Properties/></Blob>\
        <Blob><Name>a</Name><Snapshot>s</Snapshot><Properties/></Blob>\
        <Blob><Name>a</Name><Deleted>true</Deleted><VersionId>00</VersionId><Properties>\
        <DeletedTime>Mon, 30 Nov 2026 01:02:03 GMT</DeletedTime><RemainingRetentionDays>6</RemainingRetentionDays></Properties></Blob>\
        </Blobs><NextMarker>m</NextMarker></EnumerationResults>";
    let list: BlobList = quick_xml::de::from_str(list).unwrap();
    let seen: Vec<_> = list.blobs.blob.iter().map(|blob| (blob.is_base(), blob.deleted, blob.version())).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            (true, false, some("versionid=1")),
            (false, false, some("versionid=0")),
            (false, false, some("snapshot=s")),
            (false, true, some("versionid=00")),
        ]
    );
    assert_eq!(list.blobs.blob[3].properties.as_ref().unwrap().remaining_retention_days, Some(6));
    assert_eq!(list.next_marker.as_deref(), Some("m"));
}

#[test]
fn days_are_read_from_headers() {
    assert_eq!(time_of("Sun, 03 Feb 2041 00:00:00 GMT"), "2041-02-03T00:00:00Z".parse().ok());
    assert_eq!(time_of("soon"), None);
}
