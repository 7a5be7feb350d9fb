# The scores of SQuAD's official scripts: of predictions made to trip a scorer (tests/parity/make_squad.py), and what is
# said of files that are wrong.
. "$SOURCE/tests/cli/bad.inc"
d=$SOURCE/tests/parity/fixtures/squad
same() { # WANTED, ARGUMENTS
    want=$1
    shift
    "$RETORT" score "$@" > out 2>&1 || echo "exit code $?"
    cmp out "$want" || { cat out; exit 1; }
}
same "$d/v1.1.scores" "$d/v1.1.data.json" "$d/v1.1.said.json"
same "$d/v2.0.scores" "$d/v2.0.data.json" "$d/v2.0.said.json"
same "$d/v2.0.odds.scores" "$d/v2.0.data.json" "$d/v2.0.said.json" --null-odds "$d/v2.0.odds.json"
same "$d/v2.0.limit.scores" "$d/v2.0.data.json" "$d/v2.0.said.json" --null-odds "$d/v2.0.odds.json" --null-threshold 0.5

one='{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 10}]}'
data() { # TITLE TEXT [OPTIONS]
    printf '%s\n' "$2" > data.json
    tell "$1" score data.json said.json
    cat out
}
qas() { # TITLE, QUESTIONS
    data "$1" '{"version": "1.1", "data": [{"title": "t", "paragraphs": [
  {"context": "It was in Rome. Oh, Rome!", "qas": ['"$2"']}]}]}'
}
echo '{"q": "the rome"}' > said.json
qas "good" "$one"
qas "an answer beyond the end" '{"id": "q", "question": "Where?", "answers": [
   {"text": "Rome", "answer_start": 100}]}'
qas "an answer over the end" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome!!", "answer_start": 20}]}'
qas "an answer at the end" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 25}]}'
qas "an answer elsewhere" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 9}]}'
qas "an answer nowhere" '{"id": "q", "question": "Where?", "answers": [{"text": "Paris", "answer_start": 10}]}'
qas "an empty answer" '{"id": "q", "question": "Where?", "answers": [{"text": "", "answer_start": 10}]}'
qas "a start below 0" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": -1}]}'
qas "a start between characters" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 10.5}]}'
qas "a start in words" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome", "answer_start": "10"}]}'
qas "no start" '{"id": "q", "question": "Where?", "answers": [{"text": "Rome"}]}'
qas "no text" '{"id": "q", "question": "Where?", "answers": [{"answer_start": 10}]}'
qas "an answer that is a text" '{"id": "q", "question": "Where?", "answers": ["Rome"]}'
qas "one answer, no list" '{"id": "q", "question": "Where?", "answers": {"text": "Rome", "answer_start": 10}}'
qas "no answers" '{"id": "q", "question": "Where?"}'
qas "no answer in version 1" '{"id": "q", "question": "Where?", "answers": []}'
qas "no id" '{"question": "Where?", "answers": []}'
qas "a number as id" '{"id": 5, "question": "Where?", "answers": []}'
qas "no question" '{"id": "q", "answers": []}'
qas "an id twice" "$one,
    $one"
qas "a question that is a list" '["q", "Where?"]'
qas "impossible, but answered" '{"id": "q", "question": "Where?", "is_impossible": true,
    "answers": [{"text": "Rome", "answer_start": 10}]}'
qas "impossible or not" '{"id": "q", "question": "Where?", "is_impossible": "no", "answers": []}'
qas "no questions" ''
data "an empty context" '{"data": [{"paragraphs": [{"context": "", "qas": ['"$one"']}]}]}'
data "an empty paragraph" '{"data": [{"paragraphs": [{}]}]}'
data "a paragraph without questions" '{"data": [{"paragraphs": [{"context": "Rome."}]}]}'
data "an article without paragraphs" '{"data": [{"title": "t"}]}'
data "an article that is a number" '{"data": [7]}'
data "data that is an object" '{"data": {}}'
data "no data" '{"version": "1.1"}'
data "a list" '[]'
data "cut off" '{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "It was in Ro'
data "cut off between two values" '{"version": "1.1", "data": [{"title": "t"'
data "nothing" ''
data "half a character" "$(printf '{"data": "\303"}')"

qas "good again" "$one" > /dev/null
say() { # TITLE, PREDICTIONS
    printf '%s\n' "$2" > said.json
    tell "$1" score data.json said.json
    cat out
}
say "a question without prediction" '{}'
say "a prediction without question" '{"q": "Rome", "r": "Paris", "s": ""}'
say "a prediction that is a list" '{"q": ["Rome"]}'
say "predictions in a list" '["Rome"]'
say "a prediction twice" '{"q": "Rome", "q": "Paris"}'
say "predictions cut off" '{"q": "Ro'
echo '{"q": ""}' > said.json
echo '{"q": 1.5}' > odds.json
tell "null odds in version 1" score data.json said.json --null-odds odds.json
tell "by the rules of version 2" score data.json said.json --rules v2.0
cat out
tell "null odds by the rules of version 2" score data.json said.json --rules v2.0 --null-odds odds.json
cat out
echo '{"q": "1.5"}' > odds.json
tell "null odds in words" score data.json said.json --rules v2.0 --null-odds odds.json
echo '{}' > odds.json
tell "no null odds" score data.json said.json --rules v2.0 --null-odds odds.json
echo '{}' > said.json
tell "version 2 without a prediction" score data.json said.json --rules v2.0
tell "a threshold without odds" score data.json said.json --null-threshold 1
tell "a threshold in words" score data.json said.json --null-odds odds.json --null-threshold high
tell "no file of data" score none.json said.json
tell "no file of predictions" score data.json none.json
tell "no predictions" score data.json
