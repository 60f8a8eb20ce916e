#!/bin/sh
# Runs the scenarios with Erlang/OTP's supervisor and with ours, and compares what happened, thing by thing.
#
# Without Erlang nothing is compared, and it says so: the test then still holds ours to the trace in otp25.txt.
set -eu

cd "$(dirname "$0")/../.."
if ! command -v escript >/dev/null; then
    echo "skipped: there is no escript here (Debian: apt-get install erlang-base)"
    exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
echo "OTP $(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')"
escript tests/otp/scenarios.escript tests/otp/scenarios.txt >"$out/otp"
HEADFRAME_OTP_TRACE="$out/ours" cargo test -q -p headframe-actors --lib supervision::tests::trace || echo "the test failed; the comparison says where"

awk '
    FILENAME == ARGV[1] && $1 == "scenario" { name = $2; order[++count] = name; next }
    FILENAME == ARGV[1] && $1 == "differs" { sub(/^differs /, ""); reason[name] = $0; next }
    FILENAME == ARGV[1] { next }
    $1 == "==" { name = $2; next }
    FILENAME == ARGV[2] { otp[name] = otp[name] "    " $0 "\n"; next }
    { ours[name] = ours[name] "    " $0 "\n" }
    END {
        for (at = 1; at <= count; at++) {
            name = order[at]
            if (name in reason && otp[name] != ours[name]) {
                print "differs on purpose: " name "\n    " reason[name]
            } else if (name in reason) {
                print "WRONG: " name " no longer differs"; wrong++
            } else if (otp[name] != ours[name]) {
                print "WRONG: " name "\n  OTP\n" otp[name] "  ours\n" ours[name]; wrong++
            } else {
                same++
            }
        }
        print same " scenarios are the same"
        if (wrong || !same) { exit 1 }
    }
' tests/otp/scenarios.txt "$out/otp" "$out/ours"
echo "What no scenario shows, and differs on purpose:"
sed -n '/^# What no scenario can show/,/^$/{/^# - /,/^$/s/^# /  /p}' tests/otp/scenarios.txt
