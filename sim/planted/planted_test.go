package planted

import (
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func bugs(t *testing.T) []Bug {
	t.Helper()
	all, err := Bugs()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every edit applies to the tree as it is, and gives another one: a planted bug that
// the code has grown out of proves nothing.
func TestEditsApply(t *testing.T) {
	all := bugs(t)
	if len(all) < 16 {
		t.Errorf("%d bugs, and at least 16 are wanted", len(all))
	}
	names := make(map[string]bool)
	for i := range all {
		b := &all[i]
		if names[b.Name] || b.Class < 1 || b.Why == "" || len(b.Verdicts) == 0 || len(b.Edits) == 0 {
			t.Errorf("%s is there before, or lacks its class, reason, verdicts or edits", b.Name)
		}
		names[b.Name] = true
		if _, err := b.Overlay(root, t.TempDir()); err != nil {
			t.Error(err)
		}
		for _, e := range b.Edits {
			if e.Old == e.New || !strings.HasPrefix(e.File, "broker/") || strings.HasSuffix(e.File, "_test.go") {
				t.Errorf("%s: an edit of %s that plants nothing in the broker", b.Name, e.File)
			}
		}
	}
}

// Every edited package still compiles: otherwise the kill sheet would say nothing.
func TestEditsCompile(t *testing.T) {
	whole, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bugs(t) {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			overlay, err := b.Overlay(whole, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			packages := make(map[string]bool)
			for _, e := range b.Edits {
				packages[root+"/"+path.Dir(e.File)] = true
			}
			args := append([]string{"build", "-overlay", overlay}, slices.Sorted(maps.Keys(packages))...)
			if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
				t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}

// An edit whose text is not there, or more than once, is refused.
func TestEditMustFit(t *testing.T) {
	for _, old := range []string{"no such text\n", "return\n"} {
		b := Bug{Name: "b", Edits: []Edit{{File: "broker/node.go", Old: old}}}
		if _, err := b.Overlay(root, t.TempDir()); err == nil {
			t.Errorf("%q is replaced", old)
		}
	}
}

func TestListIsRead(t *testing.T) {
	const good = "== a\nclass 3\nloses\nworkload group\nverdicts x y\nwhy So.\n-- f.go\n<<<\n\told\n===\n>>>\n-- g.go\n<<<\no\n===\nn\n>>>\n"
	all, err := parse("# says\n\n" + good)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	b := all[0]
	if b.Name != "a" || b.Class != 3 || !b.Loses || !slices.Equal(b.Plans, []string{"--workload", "group"}) || !slices.Equal(b.Verdicts, []string{"x", "y"}) || b.Why != "So." {
		t.Errorf("%+v", b)
	}
	if want := []Edit{{"f.go", "\told", ""}, {"g.go", "o", "n"}}; !slices.Equal(b.Edits, want) {
		t.Errorf("%+v", b.Edits)
	}
	other := strings.Replace(good, "workload group", "scenario leave", 1)
	if all, err := parse(other); err != nil || !slices.Equal(all[0].Plans, []string{"--scenario", "leave"}) {
		t.Error(all, err)
	}
	for _, bad := range []string{
		strings.Replace(good, "workload group\n", "workload group\nscenario leave\n", 1),
		"class 3\n", strings.TrimSuffix(good, ">>>\n"), good + "nonsense\n", strings.Replace(good, "class 3", "class x", 1),
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("read without an error:\n%s", bad)
		}
	}
}
