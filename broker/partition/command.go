package partition

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
)

// Kinds of commands; the numbers stand in logs and never change.
const (
	kindProduce  = 1
	kindTrim     = 2
	kindAge      = 3
	kindSettings = 4
)

// toEnd stands for the end of the log at the time a trim is applied.
const toEnd api.Offset = -1

// EncodeProduce makes the command that appends a batch. now is the leader's wall
// clock, and age how long it knows the log to have lasted; both are stamped into the
// entry and are the only times that Apply knows.
func EncodeProduce(tag Tag, now, age api.Milliseconds, batch []byte) []byte {
	const headBytes = 2 + 5*10
	b := make([]byte, 0, headBytes+len(batch))
	b = command.Append(b, command.Head{Kind: kindProduce, Tag: tag, Now: now})
	b = codec.AppendUvarint(b, uint64(age))
	return codec.AppendBytes(b, batch)
}

// EncodeTrim makes the command that deletes the records below an offset; -1 is
// resolved when it is applied, to the end of the log then.
func EncodeTrim(tag Tag, now api.Milliseconds, before api.Offset) []byte {
	b := command.Append(nil, command.Head{Kind: kindTrim, Tag: tag, Now: now})
	return codec.AppendUvarint(b, uint64(before+1))
}

// EncodeAge makes the command that writes down how long the log has lasted, so that
// what is too old by then goes.
func EncodeAge(tag Tag, now, age api.Milliseconds) []byte {
	b := command.Append(nil, command.Head{Kind: kindAge, Tag: tag, Now: now})
	return codec.AppendUvarint(b, uint64(age))
}

// EncodeSettings makes the command that changes a partition's settings.
func EncodeSettings(tag Tag, now api.Milliseconds, settings Settings) []byte {
	return settings.append(command.Append(nil, command.Head{Kind: kindSettings, Tag: tag, Now: now}))
}

// Batch is the record batch inside a produce command, or false if data is
// something else. It aliases data.
func Batch(data []byte) ([]byte, bool) {
	c, ok := decode(data)
	return c.batch, ok && c.head.Kind == kindProduce
}

// decoded is a command; which fields it has depends on its kind.
type decoded struct {
	head     command.Head
	age      api.Milliseconds
	batch    []byte
	before   api.Offset
	settings Settings
}

// decode reads a command. The head is there even if the rest is malformed, so that
// the proposer hears of it.
func decode(data []byte) (decoded, bool) {
	r := codec.NewReader(data)
	head, ok := command.Read(r)
	c := decoded{head: head}
	switch head.Kind {
	case kindProduce:
		c.age, c.batch = api.Milliseconds(r.Uvarint()), r.Bytes()
	case kindTrim:
		c.before = api.Offset(r.Uvarint()) - 1
	case kindAge:
		c.age = api.Milliseconds(r.Uvarint())
	case kindSettings:
		settings, sound := readSettings(r)
		c.settings, ok = settings, ok && sound
	default:
		return c, false
	}
	return c, ok && c.age >= 0 && r.Close() == nil
}

func (out *Outcome) refuse(code api.Code, format string, args ...any) {
	out.Code, out.Message = code, fmt.Sprintf(format, args...)
}
