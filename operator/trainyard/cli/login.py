"""Who one is to the API server: the kubeconfig's token, certificate or plugin. Tokens are renewed, as kubectl does."""

import asyncio
import ssl
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.dateutil import parse_rfc3339
from kubernetes.aio.config.exec_provider import ExecProvider
from kubernetes.aio.config.kube_config import FileOrData, KubeConfigLoader, KubeConfigMerger

from trainyard.cli import clock
from trainyard.cli.problem import USAGE, Problem

RENEWED_BEFORE = timedelta(seconds=30)  # a token is renewed so long before it ends


_ODD = (TypeError, AttributeError, KeyError, IndexError)  # what the library makes of YAML of another shape


async def login(files: str, context: str | None, configuration: Configuration) -> tuple[ApiClient, str]:
    """Return a client and the context's namespace. Raises Problem, with the file and what is wrong with it."""
    try:
        found = Login(_Files(files).config, context)  # type: ignore[no-untyped-call] # no types there
        namespace = await found.enter(configuration)
        return ApiClient(configuration), namespace
    except ConfigException as error:
        raise _unusable(files, _told(error)) from error
    except ssl.SSLError as error:
        raise _unusable(files, "its certificates and keys are none, or do not fit each other") from error
    except aiohttp.ClientError as error:
        raise _unusable(files, f"its OIDC issuer does not answer ({error})") from error
    except OSError as error:
        raise _unusable(files, f"{error.strerror}: {error.filename}" if error.filename else str(error)) from error
    except ValueError as error:
        raise _unusable(files, f"its login cannot be read ({error})") from error
    except _ODD as error:
        raise _unusable(files, "it is not written as a kubeconfig is") from error


def _unusable(files: str, why: str) -> Problem:
    return Problem(f"The kubeconfig {files} cannot be used: {why}.", USAGE)


def _told(error: ConfigException) -> str:
    """Return what the library says without the entry itself, which may hold secrets."""
    return str(error).removeprefix("Invalid kube-config file. ").partition("/{")[0]


class _Files(KubeConfigMerger):
    def load_config(self, path: str) -> None:
        """Read one of the files. Raises Problem, which names it."""
        try:
            super().load_config(path)  # type: ignore[no-untyped-call] # as above
        except OSError as error:
            raise _unusable(path, str(error.strerror)) from error
        except UnicodeDecodeError as error:
            raise _unusable(path, "it is not UTF-8") from error
        except yaml.YAMLError as error:
            raise _unusable(path, "it is not YAML") from error
        except _ODD as error:
            raise _unusable(path, "it is empty, or not written as a kubeconfig is") from error


class Login(KubeConfigLoader):
    """The library's loader, but a plugin that fails ends the command: the library would go on as nobody."""

    def __init__(self, config: Any, context: str | None) -> None:
        super().__init__(config, active_context=context, config_base_path=None)  # type: ignore[no-untyped-call] # no types there
        self._one_at_a_time = asyncio.Lock()
        self._plugin_answered = False
        self._ends: datetime | None = None  # the plugin's token; None where it does not say

    async def enter(self, configuration: Configuration) -> str:
        """Log in, now and again whenever what was given has ended. Returns the context's namespace."""
        await self.load_and_set(configuration)  # type: ignore[no-untyped-call] # as above
        configuration.refresh_api_key_hook = self._renew  # type: ignore[assignment] # its type there is that of None
        return str(self.current_context["context"].get("namespace") or "default")

    async def _renew(self, configuration: Configuration) -> None:
        """Ask for the token again, before every request; what has not ended is kept."""
        try:
            async with self._one_at_a_time:
                await self._load_authentication()  # type: ignore[no-untyped-call] # as above
        except ConfigException as error:
            raise Problem(f"The kubeconfig's login cannot be renewed: {_told(error)}.") from error
        if token := vars(self).get("token"):
            configuration.api_key["BearerToken"] = token.strip()  # files end with a line

    async def load_from_exec_plugin(self) -> bool:
        """Run the plugin, unless what it said last still holds. Raises Problem where it fails."""
        if self._plugin_answered and (self._ends is None or clock.now() < self._ends - RENEWED_BEFORE):
            return True
        user: Any = self._user
        try:
            provider = ExecProvider(user["exec"])  # type: ignore[no-untyped-call] # as above
            self._take(await provider.run())  # type: ignore[no-untyped-call] # as above
        except (ConfigException, OSError, ValueError) as error:
            raise self._failed(str(error).removeprefix("exec: ")) from error
        except (TypeError, AttributeError) as error:  # a plugin may answer anything
            raise self._failed("its answer is no ExecCredential") from error
        self._plugin_answered = True
        return True

    def _take(self, status: Any) -> None:
        """Take the token, or the certificate with its key, that the plugin gave."""
        if "token" in status:
            self.token = f"Bearer {status['token']}"
            ends = status.get("expirationTimestamp")
            self._ends = parse_rfc3339(ends) if ends else None  # type: ignore[no-untyped-call] # as above
        elif "clientCertificateData" in status and "clientKeyData" in status:
            self.cert_file = _file(status, "clientCertificateData")
            self.key_file = _file(status, "clientKeyData")
        else:
            raise ValueError("it gives neither a token nor a certificate with its key")

    async def _load_oid_token(self) -> Any:
        try:
            return await super()._load_oid_token()  # type: ignore[no-untyped-call] # as above
        except (*_ODD, ValueError, OverflowError) as error:
            raise ConfigException("its OIDC login has no id-token that can be read or renewed") from error

    def _load_cluster_info(self) -> None:
        cluster: Any = self._cluster
        user, server = self.current_context["context"].get("user"), str(cluster.safe_get("server") or "")
        if not server:
            raise ConfigException("its cluster names no server")
        if self._user is None and (user or server.startswith("https")):  # `kubectl proxy` wants none
            raise ConfigException(f"it has no user {user!r}" if user else "its context names no user")
        try:
            super()._load_cluster_info()  # type: ignore[no-untyped-call] # as above
        except ValueError as error:
            raise ConfigException("a certificate or a key in it is not base64") from error

    def _failed(self, why: str) -> Problem:
        return Problem(
            f"The login plugin of the kubeconfig's user {self.current_context['context']['user']!r} fails: {why}"
        )


def _file(status: Any, key: str) -> Any:
    return FileOrData(status, None, data_key_name=key, base64_file_content=False).as_file()  # type: ignore[no-untyped-call] # as above
