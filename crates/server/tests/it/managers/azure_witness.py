"""Microsoft's own SDK at the double of Key Vault: what it takes for the real thing, our client was tested against.

Arguments: port of the vault, port of the metadata service, client secret. Says what it saw as one JSON object.
"""
import json
import os
import sys
import tempfile

vault_port, metadata_port, client_secret = sys.argv[1:4]
os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"http://127.0.0.1:{metadata_port}"

from azure.identity import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential  # noqa: E402
from azure.keyvault.secrets import SecretClient  # noqa: E402

BASE = f"https://localhost:{vault_port}"
ABOUT = {"authority": BASE, "disable_instance_discovery": True}


def client(credential):
    return SecretClient(BASE, credential, verify_challenge_resource=False)


def by_secret(secret):
    return client(ClientSecretCredential("tenant", "client", secret, **ABOUT))


def failure(ask):
    try:
        ask()
        return None
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


ours = by_secret(client_secret)
first = ours.set_secret("WITNESS", "one").properties.version
second = ours.set_secret("WITNESS", "two").properties.version
seen = {
    "current": ours.get_secret("WITNESS").value,
    "first": ours.get_secret("WITNESS", first).value,
    "versions": sorted(p.version for p in ours.list_properties_of_secret_versions("WITNESS")) == sorted([first, second]),
    "absent": failure(lambda: ours.get_secret("NOTHING")),
    "stranger": failure(lambda: by_secret("wrong").get_secret("WITNESS")),
    "forbidden": failure(lambda: ours.get_secret("FORBIDDEN")),
}
ours.update_secret_properties("WITNESS", second, enabled=False)
seen["disabled"] = failure(lambda: ours.get_secret("WITNESS", second))
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "token")
    with open(path, "w") as file:
        file.write("token-of-the-workload")
    workload = WorkloadIdentityCredential(tenant_id="tenant", client_id="client", token_file_path=path, **ABOUT)
    seen["workload"] = client(workload).get_secret("WITNESS", first).value
seen["machine"] = client(ManagedIdentityCredential()).get_secret("WITNESS", first).value
print(json.dumps(seen))
