"""MinIO's own administration: bucket, users, policies. For the chart's MinIO only.

Used by `setup`, never by the operator. Every call is idempotent. Blocking: the caller runs it in a thread.
"""

import re
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
from minio.minioadmin import MinioAdmin

TIMEOUT = urllib3.Timeout(connect=3, read=10)
# Answers of a MinIO that is still starting.
STARTING = frozenset({"XMinioServerNotInitialized", "ServerNotInitialized", "SlowDown", "ServiceUnavailable"})
_CODE = re.compile(r'"Code": *"(\w{1,64})"')


class StoreRefused(Exception):
    """MinIO answered, and did not do it; `str()` is a sentence of ours."""


class StoreAdministration:
    """One MinIO under its root identity."""

    def __init__(self, endpoint: str, user: str, password: str) -> None:
        """Keep the address; nothing is connected to yet. endpoint: a URL. Raises StoreRefused where it is none."""
        place = urlsplit(endpoint)
        if place.scheme not in {"http", "https"} or not place.hostname:
            raise StoreRefused("the store's endpoint is not an http or https URL")
        self.user = user
        secure = place.scheme == "https"
        pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
        self._store = Minio(
            place.netloc, access_key=user, secret_key=password, secure=secure, region="us-east-1", http_client=pool
        )
        self._admin = MinioAdmin(
            endpoint=place.netloc, credentials=StaticProvider(user, password), secure=secure, http_client=pool
        )

    def why_not_ready(self) -> str:
        """Return "" once requests are taken, else the reason. Raises StoreRefused for what waiting will not mend."""
        try:
            self._store.bucket_exists("trainyard-readiness")
        except S3Error as error:
            if error.code in STARTING:
                return "it is starting"
            raise StoreRefused(f"the store refuses its root identity ({error.code})") from error
        except (ServerError, InvalidResponseError):
            return "it answers, but not as a store"
        except (urllib3.exceptions.HTTPError, OSError):
            return "it does not answer"
        return ""

    def make_bucket(self, bucket: str) -> bool:
        """Make the bucket; False where it is there already. Raises StoreRefused."""
        try:
            if self._store.bucket_exists(bucket):
                return False
            self._store.make_bucket(bucket)
        except S3Error as error:
            if error.code in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                return False
            raise StoreRefused(f"the store made no bucket {bucket} ({error.code})") from error
        except (ServerError, InvalidResponseError, ValueError, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreRefused(f"the store made no bucket {bucket} ({type(error).__name__})") from error
        return True

    def allow(self, access_key: str, secret_key: str, name: str, policy: dict[str, Any]) -> None:
        """Let a user do what a policy of this name says, and nothing else. Raises StoreRefused."""
        try:
            self._admin.user_add(access_key, secret_key)
            self._admin.policy_add(name, policy=policy)
            self._admin.policy_set(name, user=access_key)
        except MinioAdminException as error:
            raise StoreRefused(f"the store made no user {access_key} ({_code(error)})") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise StoreRefused(f"the store made no user {access_key} ({type(error).__name__})") from error


def _code(error: MinioAdminException) -> str:
    """Return the code word of the error's JSON body, which is in its text."""
    found = _CODE.search(str(error))
    return found[1] if found else "no code"
