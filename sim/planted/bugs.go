package planted

import (
	_ "embed" // bugs.txt
	"fmt"
	"strconv"
	"strings"
)

//go:embed bugs.txt
var list string

// Bugs are the planted bugs, in the order of bugs.txt, whose head describes its
// form. An error is one of the list.
func Bugs() ([]Bug, error) { return parse(list) }

func parse(text string) ([]Bug, error) {
	r := &reader{lines: strings.Split(text, "\n")}
	for r.at < len(r.lines) {
		if err := r.line(); err != nil {
			return nil, fmt.Errorf("bugs.txt, line %d: %w", r.at, err)
		}
	}
	return r.bugs, nil
}

// reader takes the list line by line.
type reader struct {
	lines []string
	at    int // the next line
	bugs  []Bug
	file  string // that the next edit is of
}

func (r *reader) line() error {
	word, rest, _ := strings.Cut(r.lines[r.at], " ")
	r.at++
	switch {
	case word == "" || strings.HasPrefix(word, "#"):
		return nil
	case word == "==":
		r.bugs = append(r.bugs, Bug{Name: rest})
		return nil
	case len(r.bugs) == 0:
		return fmt.Errorf("%q stands before the first bug", word)
	}
	b := &r.bugs[len(r.bugs)-1]
	var err error
	switch word {
	case "class":
		b.Class, err = strconv.Atoi(rest)
	case "loses":
		b.Loses = true
	case "workload", "scenario":
		if b.Plans != nil {
			return fmt.Errorf("%s has plans already", b.Name)
		}
		b.Plans = []string{"--" + word, rest}
	case "verdicts":
		b.Verdicts = strings.Fields(rest)
	case "why":
		b.Why = rest
	case "--":
		r.file = rest
	case "<<<":
		err = r.edit(b)
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return err
}

// edit takes the two texts of an edit.
func (r *reader) edit(b *Bug) error {
	before, err := r.until("===")
	if err != nil {
		return err
	}
	after, err := r.until(">>>")
	b.Edits = append(b.Edits, Edit{File: r.file, Old: before, New: after})
	return err
}

// until takes the lines up to a mark. The last one ends where the text does, so an
// edit may begin or end inside a line.
func (r *reader) until(mark string) (string, error) {
	from := r.at
	for r.at < len(r.lines) {
		r.at++
		if r.lines[r.at-1] == mark {
			return strings.Join(r.lines[from:r.at-1], "\n"), nil
		}
	}
	return "", fmt.Errorf("no %q ends what begins in line %d", mark, from)
}
