package histories

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// appendLine appends an event as one line, without its newline.
func appendLine(b []byte, e *Event) ([]byte, error) {
	body, err := shape(e)
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	for i, f := range header {
		b = putField(b, i > 0, f, e)
	}
	for _, f := range body {
		if !f.optional || !f.zero(e) {
			b = putField(b, true, f, e)
		}
	}
	return append(b, '}'), nil
}

func putField(b []byte, comma bool, f field, e *Event) []byte {
	if comma {
		b = append(b, ',')
	}
	b = append(strconv.AppendQuote(b, f.name), ':')
	return f.put(b, e)
}

// shape gives the fields that an event has after the header, or says which part
// of it is missing or out of place.
func shape(e *Event) ([]field, error) {
	if int(e.Kind) >= len(kindNames) || int(e.Op) >= len(opNames) {
		return nil, fmt.Errorf("no such event: %v %v", e.Kind, e.Op)
	}
	partial := e.Answer != nil && e.Op == Fetch
	switch e.Kind {
	case Noted:
		if e.Note != nil && e.Note.Op == e.Op && e.Call == nil && e.Answer == nil && e.Process == Nemesis && notes[e.Op] != nil {
			return notes[e.Op], nil
		}
	case Invoke:
		if e.Call != nil && e.Call.Op == e.Op && e.Note == nil && e.Answer == nil && e.Process >= 0 && e.Op < Fault {
			return calls[e.Op], nil
		}
	case Ok:
		if e.Answer != nil && e.Note == nil && e.Call == nil && e.Process >= 0 && e.Op < Fault {
			return answers[e.Op], nil
		}
	default:
		if e.Note == nil && e.Call == nil && e.Process >= 0 && e.Op < Fault {
			if partial {
				return failedFetch, nil
			}
			if e.Answer == nil {
				return failedAnother, nil
			}
		}
	}
	return nil, fmt.Errorf("process %d cannot have an event %v %v, or its parts do not belong together", e.Process, e.Kind, e.Op)
}

// parseLine reads one line.
func parseLine(line []byte) (Event, error) {
	var e Event
	raw, err := object(line)
	if err != nil {
		return e, err
	}
	for _, f := range header {
		if err := getField(raw, f, &e); err != nil {
			return e, err
		}
	}
	switch e.Kind {
	case Noted:
		e.Note = &Note{Op: e.Op}
	case Invoke:
		e.Call = &Call{Op: e.Op}
	case Ok:
		e.Answer = &Answer{}
	default:
		if _, ok := raw[records.name]; ok {
			e.Answer = &Answer{}
		}
	}
	body, err := shape(&e)
	if err != nil {
		return e, err
	}
	for _, f := range body {
		if err := getField(raw, f, &e); err != nil {
			return e, err
		}
	}
	if len(raw) > 0 {
		return e, fmt.Errorf("field %q does not belong to %v %v", slices.Sorted(maps.Keys(raw))[0], e.Kind, e.Op)
	}
	return e, nil
}

// object gives the fields of a line, each of which may stand there once.
func object(line []byte) (map[string]json.RawMessage, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil || raw == nil {
		return nil, fmt.Errorf("not a JSON object: %s", short(line))
	}
	if members(line) != len(raw) {
		return nil, fmt.Errorf("a field stands there twice: %s", short(line))
	}
	return raw, nil
}

// members counts the fields of a JSON object with their repetitions, of which decoding keeps
// one: each has a colon outside of texts and of what is inside the object.
func members(object []byte) (n int) {
	depth, text := 0, false
	for i := 0; i < len(object); i++ {
		switch c := object[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case text:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}

// getField takes a field off what is left of a line.
func getField(raw map[string]json.RawMessage, f field, e *Event) error {
	v, ok := raw[f.name]
	delete(raw, f.name)
	switch {
	case !ok && f.optional && f.zero(e):
		return nil
	case !ok:
		return fmt.Errorf("field %q is missing", f.name)
	}
	if err := f.get(v, e); err != nil {
		return fmt.Errorf("field %q %w", f.name, err)
	}
	if f.optional && f.zero(e) {
		return fmt.Errorf("field %q should be left out here", f.name)
	}
	return nil
}
