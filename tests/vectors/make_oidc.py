"""ID tokens as a provider signs them, and as attackers would: writes tests/vectors/oidc.json.

usage: make_oidc.py > oidc.json

Keys and signatures are made by the PyPI package cryptography; tokens are put together here after RFC 7515 and RFC 7518.
Each run makes other keys. Private keys are not kept.
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return text(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
rsa_key = rsa.generate_private_key(65537, 2048)
weak_key = rsa.generate_private_key(65537, 1024)
p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
edwards = ed25519.Ed25519PrivateKey.generate()


def rsa_public(key, kid):
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}


def curve_public(key, kid, name, size):
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "kid": kid, "crv": name, "x": number(numbers.x, size), "y": number(numbers.y, size)}


raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
keys = [
    rsa_public(rsa_key, "rsa"),
    rsa_public(weak_key, "weak"),
    {**rsa_public(rsa_key, "for-encryption"), "use": "enc"},
    {**rsa_public(rsa_key, "only-rs256"), "alg": "RS256"},
    curve_public(p256, "p256", "P-256", 32),
    curve_public(p384, "p384", "P-384", 48),
    {"kty": "OKP", "kid": "edwards", "crv": "Ed25519", "x": text(edwards.public_key().public_bytes(*raw))},
    {"kty": "oct", "kid": "shared", "k": text(b"everybody knows this")},
    "not a key",
]
claims = {
    "iss": "https://login.test", "sub": "248289761001", "aud": "tallymark", "exp": 1795351200, "iat": 1795350600,
    "nonce": "n-0S6_WzA2Mj", "email": "Ann@shop.example", "email_verified": True, "name": "Ann",
}


def sign(alg, message, key=None):
    if alg == "none":
        return b""
    if alg.startswith("HS"):
        return hmac.new(key, message, hashlib.sha256).digest()
    if alg == "EdDSA":
        return edwards.sign(message)
    if alg.startswith("ES"):
        key, size = (p256, 32) if alg == "ES256" else (p384, 48)
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(HASHES[alg[2:]])))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    pad = padding.PKCS1v15()
    if alg.startswith("PS"):
        pad = padding.PSS(padding.MGF1(HASHES[alg[2:]]), padding.PSS.DIGEST_LENGTH)
    return (key or rsa_key).sign(message, pad, HASHES[alg[2:]])


def token(alg, kid, key=None, **more):
    header = {"alg": alg, **({"kid": kid} if kid else {}), **more}
    message = f"{text(json.dumps(header).encode())}.{text(json.dumps(claims).encode())}"
    return f"{message}.{text(sign(alg, message.encode(), key))}"


pem = rsa_key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
right = [(alg, "rsa") for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")]
right += [("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "edwards"), ("RS256", "only-rs256"), ("ES256", None)]
refused = [
    ("no signature", "algorithm", token("none", None)),
    ("no signature, with a key", "algorithm", token("none", "rsa")),
    ("a keyed hash under the public key", "algorithm", token("HS256", "rsa", pem)),
    ("a keyed hash under a shared key", "algorithm", token("HS256", "shared", b"everybody knows this")),
    ("a way that must be understood", "algorithm", token("RS256", "rsa", crit=["exp"])),
    ("a key that nobody has", "key", token("RS256", "gone")),
    ("a key for encryption", "key", token("RS256", "for-encryption")),
    ("a key for another algorithm", "key", token("RS512", "only-rs256")),
    ("a key of another kind", "key", token("RS256", "p256")),
    ("a key of another curve", "key", token("ES256", "p384")),
    ("somebody else's key", "signature", token("RS256", "rsa", rsa.generate_private_key(65537, 2048))),
    ("a key that is too short", "signature", token("RS256", "weak", weak_key)),
    ("another algorithm than it was signed with", "signature",
     ".".join([text(json.dumps({"alg": "PS256", "kid": "rsa"}).encode()), *token("RS256", "rsa").split(".")[1:]])),
    ("an empty signature", "signature", token("RS256", "rsa").rsplit(".", 1)[0] + "."),
    ("two parts", "form", token("RS256", "rsa").rsplit(".", 1)[0]),
    ("four parts", "signature", token("RS256", "rsa") + ".e30"),
    ("padding", "form", token("RS256", "rsa") + "=="),
    ("nothing", "form", ""),
]
json.dump(
    {
        "made_by": "make_oidc.py, cryptography",
        "claims": claims,
        "keys": {"keys": keys},
        "right": [{"alg": alg, "token": token(alg, kid)} for alg, kid in right],
        "refused": [{"what": what, "why": why, "token": made} for what, why, made in refused],
    },
    __import__("sys").stdout,
    indent=1,
)
print()
