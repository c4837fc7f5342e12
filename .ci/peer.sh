# What `.ci/mail`, `.ci/slack` and `.ci/webhooks` have in common; they read this file.

# Runs the check `.ci/NAME.py` with a package of PyPI, and a certificate for `localhost`, which it gets as `key.pem` and `certificate.pem`
# in its folder. Installs openssl if it is missing.
peer() {
    local name="$1" package="$2" version="$3" venv scratch
    command -v openssl > /dev/null || { apt-get update -qq && apt-get install -y -qq openssl; }
    cargo build --locked --quiet --release -p dogwatch-cli
    scratch="$(mktemp -d)"
    # shellcheck disable=SC2064 # The folder of now.
    trap "rm -rf '$scratch'" EXIT
    venv="target/tools/$name-$version"
    if ! "$venv/bin/python" -c "import $package" 2> /dev/null; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$package==$version"
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
        -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" 2> /dev/null
    # Whom the client trusts is what the operating system says; for this run that is our certificate.
    SSL_CERT_FILE="$scratch/certificate.pem" PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" ".ci/$name.py" target/release/dogwatch "$scratch"
}
