#!/bin/sh
# Makes the keys and CSRs of the tests that neither ring nor rcgen can make. The tests need only the results.
set -eu
key() { openssl genpkey -outform DER -out "$1.key.der" -algorithm "$2" ${3:+-pkeyopt "$3"}; }
csr() { # name, key, further options of `openssl req`
    name=$1 key=$2
    shift 2
    openssl req -new -config empty.cnf -keyform DER -key "$key.key.der" -subj "/CN=a.example" \
        -outform DER -out "$name.csr.der" "$@"
}
printf '[req]\ndistinguished_name=dn\n[dn]\n' >empty.cnf
key rsa1024 RSA rsa_keygen_bits:1024
key rsa2048 RSA rsa_keygen_bits:2048
key rsa4096 RSA rsa_keygen_bits:4096
openssl genpkey -outform DER -out rsa2048-e3.key.der -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
    -pkeyopt rsa_keygen_pubexp:3
key p521 EC ec_paramgen_curve:P-521
key p256 EC ec_paramgen_curve:P-256
openssl genpkey -outform DER -out p256-explicit.key.der -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
    -pkeyopt ec_param_enc:explicit
csr rsa1024 rsa1024
csr rsa2048 rsa2048
csr rsa2048-sha1 rsa2048 -sha1
csr rsa2048-sha512 rsa2048 -sha512
csr rsa2048-e3 rsa2048-e3
csr rsa2048-pss rsa2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
csr rsa4096 rsa4096
csr p521 p521
csr p256-sha384 p256 -sha384
csr p256-sha1 p256 -sha1
csr p256-explicit p256-explicit
csr several-names p256 -addext "subjectAltName=DNS:B.example,DNS:a.EXAMPLE,DNS:*.c.example"
csr ip p256 -addext "subjectAltName=DNS:a.example,IP:192.0.2.1"
csr email p256 -addext "subjectAltName=email:a@a.example"
csr uri p256 -addext "subjectAltName=URI:https://a.example"
csr other-name p256 -addext "subjectAltName=otherName:1.2.3.4;UTF8:a.example"
csr directory-name p256 -addext "subjectAltName=dirName:dn"
csr ca p256 -addext "basicConstraints=critical,CA:TRUE"
csr not-ca p256 -addext "basicConstraints=CA:FALSE" -addext "keyUsage=keyCertSign" -addext "1.2.3.4=DER:0500"
csr must-staple p256 -addext "tlsfeature=status_request"
rm empty.cnf p256.key.der p521.key.der p256-explicit.key.der rsa1024.key.der rsa2048-e3.key.der
