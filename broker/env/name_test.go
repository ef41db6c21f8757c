package env

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "a-b_c.9", "a/b/c", "...", ".a", strings.Repeat("x", NameMax)} {
		if CheckFile(name) != nil || CheckFolder(name+"/") != nil && len(name) < NameMax {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "A", "a b",
		"a\\b", "a\x00", "ä", "a\n", strings.Repeat("x", NameMax+1)} {
		if CheckFile(name) == nil {
			t.Errorf("%q is taken for a file's name", name)
		}
		if name != "" && CheckFolder(name+"/") == nil {
			t.Errorf("%q is taken for a folder's name", name+"/")
		}
	}
	if CheckFolder("") != nil || CheckFolder("a") == nil {
		t.Error("the root is a folder, a name without a slash is none")
	}
}

func TestAbove(t *testing.T) {
	for name, want := range map[string]string{"": "", "a": "", "a/": "", "a/b": "a/", "a/b/": "a/", "a/b/c": "a/b/"} {
		if got := Above(name); got != want {
			t.Errorf("Above(%q) = %q, want %q", name, got, want)
		}
	}
}
