# docs/distillation.md: its example runs, and is as many jobs as the page says.
. "$SOURCE/tests/golden/docs.inc"
mkdir build
ln -s "$RETORT" build/retort
follow "$SOURCE/docs/distillation.md"
