package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/reprise-mq/reprise/cmd/detvet/rules"
)

const root = "../.."

// TestTree runs every rule over the whole module, its tests included.
func TestTree(t *testing.T) {
	watch(t)
	config := &packages.Config{
		// No rule needs the syntax of what is imported.
		Mode:  packages.LoadSyntax | packages.NeedModule,
		Dir:   root,
		Tests: true,
	}
	all, err := packages.Load(config, "./...")
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(p *packages.Package) bool {
		// One that imports what does not build is ill-typed, but not to blame.
		if len(p.Errors) > 0 {
			t.Errorf("%s does not build: %v", p.PkgPath, p.Errors)
		}
		return p.IllTyped
	})
	graph, err := checker.Analyze(rules.All(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, action := range graph.Roots {
		if action.Err != nil {
			t.Errorf("%s: %v", action, action.Err)
		}
		for _, d := range action.Diagnostics {
			at := action.Package.Fset.Position(d.Pos)
			// A package is loaded with and without its tests.
			line := fmt.Sprintf("%s:%d: %s [%s]", relative(t, at.Filename), at.Line, d.Message, action.Analyzer.Name)
			if !found[line] {
				found[line] = true
				t.Error(line)
			}
		}
	}
}

// TestLinks: the links of the documents lead to files that exist.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	for _, document := range files(t, ".md") {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			to := match[1]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), to)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", document, to)
			}
		}
	}
}

// TestFolders: the house has no rooms but those of the plan.
func TestFolders(t *testing.T) {
	rooms := []string{".ci", "broker", "checker", "cmd", "histories", "netsim", "sim", "workloads"}
	for _, file := range files(t, "") {
		first, _, inFolder := strings.Cut(file, "/")
		if inFolder && !slices.Contains(rooms, first) {
			t.Errorf("%s lies in a top-level folder that is not in the plan", file)
		}
	}
}

// files are those under version control, by the end of their names, or, where
// there is no git, those on disk.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	names := watch(t)
	list := exec.Command("git", "ls-files")
	list.Dir = root
	if out, err := list.Output(); err == nil {
		names = strings.Fields(string(out))
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) })
}

// watch looks at every file on disk. A cached result of "go test" stands until a
// file changes that the test itself looked at, and not git or "go list" for it.
func watch(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// Other tests make and remove files meanwhile.
			return nil
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "out"}, name):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func relative(t *testing.T, name string) string {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	short, err := filepath.Rel(top, name)
	if err != nil {
		t.Fatal(err)
	}
	return short
}
