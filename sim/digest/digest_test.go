package digest

import (
	"strings"
	"testing"
)

// The digest of these notes is fixed for ever: a seed's trace must mean the same
// on every machine.
func TestDigestIsFixed(t *testing.T) {
	var text strings.Builder
	d := New(&text)
	d.Note(1, "send", "n1>n2", 7, []byte("hello, world"))
	d.Note(2, "sync", "n2", 8, nil)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := d.String(), "33660c98804738d74c0a80f79dabf85b"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if lines := strings.Count(text.String(), "\n"); lines != 2 {
		t.Errorf("%d lines of text for 2 notes", lines)
	}
}

// Every byte, and where one field ends and the next begins, changes the digest.
func TestEverythingCounts(t *testing.T) {
	seen := make(map[string]bool)
	note := func(what, whom string, number uint64, data string) {
		d := New(nil)
		d.Note(1, what, whom, number, []byte(data))
		if seen[d.String()] {
			t.Errorf("%q %q %d %q has the digest of another note", what, whom, number, data)
		}
		seen[d.String()] = true
	}
	note("a", "b", 0, "")
	note("ab", "", 0, "")
	note("", "ab", 0, "")
	note("a", "b", 1, "")
	note("a", "b", 0, "\x00")
	note("a", "b", 0, "\x00\x00")
	long := strings.Repeat("x", 100)
	for i := range long {
		note("a", "b", 0, long[:i]+"y"+long[i+1:])
	}
}
