"""What is secret in a URL is found, wherever it stands in it, and what only looks like it is not."""

import pytest

from tasks.addresses.secrets_in_addresses import redacted, refuse_secret


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:hunter2@mirror.example/data", "https://***@mirror.example/data"),
        ("https://token@mirror.example", "https://***@mirror.example"),
        ("HTTPS://user:hun#ter2@mirror.example", "HTTPS://***@mirror.example"),
        ("https://user:p@ss@mirror.example/x", "https://***@mirror.example/x"),
        ("s3://AKIA:hun/ter+2@bucket/prefix", "s3://***@bucket/prefix"),
        ("sftp://me:hunter2@host/lists", "sftp://***@host/lists"),
        ("https://h.example/a?v=1&X-Amz-Signature=hunter2&d=3", "https://h.example/a?v=1&X-Amz-Signature=***&d=3"),
        ("https://h.example/a?sig=hunter2", "https://h.example/a?sig=***"),
        ("https://h.example/a?access_token=hunter2#x", "https://h.example/a?access_token=***#x"),
    ],
)
def test_a_secret_is_refused_and_never_quoted(address: str, shown: str) -> None:
    with pytest.raises(ValueError, match=r"^source\.base has .*~/\.netrc$") as refusal:
        refuse_secret(address, "source.base")
    assert "hunter" not in str(refusal.value)
    assert redacted(f"cannot read '{address}': no") == f"cannot read '{shown}': no"


@pytest.mark.parametrize(
    "address",
    [
        "https://data.commoncrawl.org",
        "https://h.example:8080/people/@somebody?page=2",
        "abfs://container@account.dfs.core.windows.net/x",
        "sftp://me@host/x",
        "s3://bucket/prefix",
        "https://h.example/?monkey=1&keyboard=2",
        "somebody@example.org",
        "builtin:harm_en.tsv",
        "../lists/words.txt",
    ],
)
def test_other_addresses_pass(address: str) -> None:
    refuse_secret(address, "source.base")
    assert redacted(address) == address
