package histories

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds a line in bytes, its newline included.
const MaxLine = 16 << 20

// ErrMalformed: the text is no history, or its events break a rule. What wraps it
// names the line and says what is wrong there. The file was cut short or edited.
var ErrMalformed = errors.New("malformed history")

// Reader reads a history event by event. It checks each line, and the order of
// indexes, times, invocations and completions.
type Reader struct {
	scanner *bufio.Scanner
	line    int
	rules   rules
}

// NewReader reads from a stream of lines.
func NewReader(from io.Reader) *Reader {
	s := bufio.NewScanner(from)
	s.Buffer(nil, MaxLine)
	return &Reader{scanner: s}
}

// Next gives the next event, or io.EOF after the last, or an ErrMalformed.
func (r *Reader) Next() (Event, error) {
	r.line++
	if !r.scanner.Scan() {
		switch err := r.scanner.Err(); {
		case err == nil:
			return Event{}, io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			return Event{}, fmt.Errorf("%w: line %d: longer than %d bytes", ErrMalformed, r.line, MaxLine)
		default:
			return Event{}, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
	e, err := parseLine(r.scanner.Bytes())
	if err == nil {
		err = r.rules.step(&e)
	}
	if err != nil {
		return Event{}, fmt.Errorf("%w: line %d: %w", ErrMalformed, r.line, err)
	}
	return e, nil
}

// Writer writes events, one a line.
type Writer struct {
	to    *bufio.Writer
	bytes []byte
}

// NewWriter writes to a stream.
func NewWriter(to io.Writer) *Writer { return &Writer{to: bufio.NewWriter(to)} }

// Write writes an event; Flush must follow the last. An event whose parts do not
// belong together, or that is longer than MaxLine, is an error.
func (w *Writer) Write(e Event) error {
	b, err := appendLine(w.bytes[:0], &e)
	if err != nil {
		return fmt.Errorf("writing event %d: %w", e.Index, err)
	}
	w.bytes = append(b, '\n')
	if len(w.bytes) > MaxLine {
		return fmt.Errorf("writing event %d: longer than %d bytes", e.Index, MaxLine)
	}
	_, err = w.to.Write(w.bytes)
	return err
}

// Flush hands everything written so far to the stream.
func (w *Writer) Flush() error { return w.to.Flush() }
