# shellcheck shell=bash disable=SC2154
# JSON Web Tokens, signed by openssl.

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# ES256 wants r and s as 32 bytes each; openssl gives both as integers in DER.
raw_ecdsa() {
  local half hexes
  hexes=$(openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p')
  for half in $hexes; do
    while [ "${#half}" -lt 64 ]; do half="0$half"; done
    # shellcheck disable=SC2001,SC2059
    printf "$(sed 's/../\\x&/g' <<<"$half")"
  done
}

# jwt ALGORITHM: a token of the issuer bench-ALGORITHM that lives for a day; its keys are in $dir/jwt.
jwt() {
  local algorithm=$1 now claims text
  now=$(date +%s)
  claims=$(printf '{"iss":"bench-%s","aud":"uploads","sub":"user-4711","iat":%s,"exp":%s}' "$algorithm" "$now" $((now + 86400)))
  text=$(printf '{"alg":"%s","typ":"JWT"}' "${algorithm^^}" | base64url).$(printf '%s' "$claims" | base64url)
  printf '%s.' "$text"
  case $algorithm in
    hs256) printf '%s' "$text" | openssl dgst -sha256 -mac HMAC -macopt "key:$(<"$dir/jwt/hs256")" -binary ;;
    es256) printf '%s' "$text" | openssl dgst -sha256 -sign "$dir/jwt/es256.private" | raw_ecdsa ;;
    rs256) printf '%s' "$text" | openssl dgst -sha256 -sign "$dir/jwt/rs256.private" ;;
  esac | base64url
}

make_jwts() {
  mkdir "$dir/jwt"
  openssl rand -hex 32 | tr -d '\n' >"$dir/jwt/hs256"
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$dir/jwt/es256.private"
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/jwt/rs256.private" 2>/dev/null ||
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/jwt/rs256.private" 2>/dev/null
  openssl pkey -in "$dir/jwt/es256.private" -pubout -out "$dir/jwt/es256"
  openssl pkey -in "$dir/jwt/rs256.private" -pubout -out "$dir/jwt/rs256"
  for algorithm in hs256 es256 rs256; do jwt "$algorithm" >"$dir/jwt/$algorithm.token"; done
}
