// Package planted is a list of bugs to put into the broker: small edits, described
// as data in bugs.txt, that are built with go build -overlay, so that no code of
// the product carries a switch. A simulator is as good as the bugs that it finds,
// and these it must find.
//
// It never runs a build; command killsheet does, and prints what found each bug.
package planted

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bug is one planted bug.
type Bug struct {
	Name string
	// Class is the number of the bug found in the field that it is like, 0 for none.
	Class int
	// Loses: it loses or doubles data, or lets a client read what is not so; what
	// the clients see must give it away, without any look inside.
	Loses bool
	// Plans are the arguments of reprise-sim run that say which plans look for it; without
	// any, each seed draws its own.
	Plans []string
	// Verdicts are the names by one of which it must be found.
	Verdicts []string
	// Why it is one, in a sentence.
	Why   string
	Edits []Edit
}

// Edit replaces one piece of text in one file.
type Edit struct {
	// File from the root of the project.
	File string
	// Old stands in the file exactly once.
	Old, New string
}

// Overlay writes the edited files of a bug and the list of them that go build
// -overlay takes to a folder, and gives the name of that list. root is the
// project's.
func (b *Bug) Overlay(root, folder string) (string, error) {
	texts := make(map[string]string)
	for _, e := range b.Edits {
		text, ok := texts[e.File]
		if !ok {
			data, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return "", fmt.Errorf("plant %s: %w", b.Name, err)
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return "", fmt.Errorf("plant %s: the text to replace stands in %s %d times, not once:\n%s", b.Name, e.File, n, e.Old)
		}
		texts[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		edited := filepath.Join(folder, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(edited, []byte(texts[file]), 0o644); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, file)] = edited
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	name := filepath.Join(folder, "overlay.json")
	return name, os.WriteFile(name, list, 0o644)
}
