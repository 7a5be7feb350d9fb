# docs/spec.md: all its examples are specs, and are planned; what the page says of points and jobs is so.
. "$SOURCE/tests/golden/docs.inc"
mkdir build
ln -s "$RETORT" build/retort
follow "$SOURCE/docs/spec.md"
jobs() { "$RETORT" plan "$@" | awk '/ jobs?: /{print $1}'; }
# start, and for each seed: trained, heads; by importance 1 + 4 * 2 ratios, by chance 4: pruned and result of each.
want=$((3 * (3 + 2 * (1 + 8 + 4))))
test "$(jobs sweep.json)" = $want || { "$RETORT" plan sweep.json; echo "sweep.json: $want jobs were wanted"; exit 1; }
test "$(jobs over.json)" = 10 || { "$RETORT" plan over.json; exit 1; }
test "$(jobs longer.json --set pruned.ratio=0.35)" = 7 || { "$RETORT" plan longer.json --set pruned.ratio=0.35; exit 1; }
# Draws do not move when another variable comes.
draws() { "$RETORT" plan "$1" | grep -o 'trained\.lr=[^ ]*' | sort -u; }
draws random.json > one
sed 's/"trained.batch": .*/"trained.max_steps": {"random": {"count": 8, "low": 10, "high": 90, "int": true}}/' random.json > other.json
draws other.json > two
test -s one
cmp one two
# What README says of the quickstart.
said=$(sed -n 's/.* \([0-9]*\) jobs\..*/\1/p' "$SOURCE/README.md" | head -n 1)
test "$(jobs "$SOURCE/experiments/quickstart.json")" = "$said" || { echo "README says $said jobs of the quickstart"; exit 1; }
# No page points at a file that is not there.
for page in README.md $(cd "$SOURCE" && ls docs/*.md); do
    for link in $(cd "$SOURCE" && grep -oE '\]\([^)#:]+\)' "$page" | sed 's/^](//; s/)$//'); do
        test -e "$SOURCE/$(dirname "$page")/$link" || { echo "$page: there is no $link"; exit 1; }
    done
done
