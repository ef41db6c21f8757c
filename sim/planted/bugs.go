package planted

import (
	_ "embed" // bugs.txt
	"fmt"
	"strconv"
	"strings"
)

//go:embed bugs.txt
var text string

// Bugs reads the list; see the head of bugs.txt for its form.
func Bugs() ([]Bug, error) {
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
	case "verdicts":
		b.Verdicts = strings.Fields(rest)
	case "why":
		b.Why = rest
	case "--":
		r.file = rest
	case "<<<":
		e := Edit{File: r.file, Old: r.until("===")}
		e.New = r.until(">>>")
		b.Edits = append(b.Edits, e)
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return err
}

// until takes the lines up to a mark. The last one ends where the text does, so an
// edit may begin or end inside a line.
func (r *reader) until(mark string) string {
	from := r.at
	for r.at < len(r.lines) && r.lines[r.at] != mark {
		r.at++
	}
	taken := r.lines[from:r.at]
	r.at++
	return strings.Join(taken, "\n")
}
