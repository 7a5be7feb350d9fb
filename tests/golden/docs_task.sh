# docs/add-a-task.md, followed by the letter.
. "$SOURCE/tests/golden/docs.inc"
copy_tree
same_flags
follow docs/add-a-task.md
