# From the TAP of a whole run: every assertion that failed with the names of the tests around it and its diagnostics,
# then the files that failed. At most 60 lines each, so that the end of a log shows them all.
{
  match($0, /^ */)
  indent = RLENGTH
}
inside && lines++ < 60 { print }
inside && $1 == "..." && indent == inside { inside = 0 }
inside { next }
$1 == "#" && $2 == "Subtest:" {
  name = $0
  sub(/^ *# Subtest: /, "", name)
  names[indent] = name
}
$1 == "not" && $2 == "ok" {
  if (/# time=/) {
    if (indent == 0) files[++failed] = $0
    next
  }
  print ""
  for (at = 0; at < indent; at += 4) if (at in names) print "  in " names[at]
  print
  lines = 0
  after = 1
  next
}
# The diagnostics, if there are any, begin with the next line.
after {
  after = 0
  if ($1 == "---") inside = indent
}
END {
  if (failed) print ""
  for (at = 1; at <= failed; at++) print files[at]
}
