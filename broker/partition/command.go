package partition

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
)

// Kinds of commands; the numbers stand in logs and never change.
const (
	kindProduce = 1
	kindTrim    = 2
)

// toEnd stands for the end of the log at the time a trim is applied.
const toEnd api.Offset = -1

// EncodeProduce makes the command that appends a batch. now is the leader's wall
// clock; it is stamped into the entry and is the only time that Apply knows.
func EncodeProduce(tag Tag, now api.Milliseconds, batch []byte) []byte {
	const headBytes = 2 + 4*10
	b := make([]byte, 0, headBytes+len(batch))
	b = command.Append(b, command.Head{Kind: kindProduce, Tag: tag, Now: now})
	return codec.AppendBytes(b, batch)
}

// EncodeTrim makes the command that deletes the records below an offset; -1 is
// resolved when it is applied, to the end of the log then.
func EncodeTrim(tag Tag, now api.Milliseconds, before api.Offset) []byte {
	b := command.Append(nil, command.Head{Kind: kindTrim, Tag: tag, Now: now})
	return codec.AppendUvarint(b, uint64(before+1))
}

// Batch is the record batch inside a produce command, or false if data is
// something else. It aliases data.
func Batch(data []byte) ([]byte, bool) {
	c, ok := decode(data)
	return c.batch, ok && c.head.Kind == kindProduce
}

// decoded is a command; which fields it has depends on its kind.
type decoded struct {
	head   command.Head
	batch  []byte
	before api.Offset
}

// decode reads a command. The head is there even if the rest is malformed, so that
// the proposer hears of it.
func decode(data []byte) (decoded, bool) {
	r := codec.NewReader(data)
	head, ok := command.Read(r)
	c := decoded{head: head}
	switch head.Kind {
	case kindProduce:
		c.batch = r.Bytes()
	case kindTrim:
		c.before = api.Offset(r.Uvarint()) - 1
	default:
		return c, false
	}
	return c, ok && r.Close() == nil
}

func (out *Outcome) refuse(code api.Code, format string, args ...any) {
	out.Code, out.Message = code, fmt.Sprintf(format, args...)
}
