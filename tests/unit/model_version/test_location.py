import pytest

from trainyard.model_version.location import misplaced


@pytest.mark.parametrize("uri", ["s3://b/ns/churn/v1/1/", "s3://b/ns/x/", "s3://b/ns/with space/"])
def test_below_the_own_prefix(uri: str) -> None:
    assert misplaced(uri, "b", "ns") == ""


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/other/churn/v1/",  # another namespace
        "s3://b/ns2/churn/v1/",  # one whose name begins the same
        "s3://other/ns/churn/v1/",  # another bucket
        "s3://b/ns/",  # the prefix itself
        "s3://b/ns/../other/churn/",
        "s3://b/ns/churn/../../other/",
        "s3://b/ns/./churn/",
        "s3://b/ns//churn/",
        "s3://b//ns/churn/",
        "s3://b/ns/%2e%2e/other/",
        "s3://b/ns%2fchurn/",
        "s3://b/ns\\..\\other/",
        "s3://b/ns/churn/\x00/",
        "s3://b/NS/churn/",
        "s3://b/ns/churn",  # no folder
        "S3://b/ns/churn/",
        "s3://user@b/ns/churn/",
        "s3:///ns/churn/",
        "http://169.254.169.254/ns/churn/",
        "",
    ],
)
def test_refused_however_it_is_spelled(uri: str) -> None:
    assert misplaced(uri, "b", "ns") != ""


def test_says_why() -> None:
    assert misplaced("s3://b/other/churn/", "b", "ns") == "the artifact does not lie below s3://b/ns/"
    assert "percent" in misplaced("s3://b/ns/%2e%2e/x/", "b", "ns")
    assert "no folder" in misplaced("s3://b/ns/churn", "b", "ns")
