package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// describe names an operation in a sentence; nil is the facts of a simulation.
func describe(o *histories.Operation) string {
	if o == nil {
		return "the log itself"
	}
	return fmt.Sprintf("operation %d (process %d: %s)", o.Invoked, o.Process, picture(o))
}

// picture is an operation in a few words, with what it was told.
func picture(o *histories.Operation) string {
	asked := ask(o.Call)
	switch {
	case o.Outcome != histories.Ok && o.Completed == histories.Never:
		return asked + " never answered"
	case o.Outcome == histories.Fail:
		return fmt.Sprintf("%s failed, %v", asked, o.Code)
	case o.Outcome == histories.Info:
		return fmt.Sprintf("%s unknown, %v", asked, o.Code)
	}
	return asked + tell(o.Call, o.Answer)
}

// ask says what a call asks for.
func ask(c *histories.Call) string {
	switch c.Op {
	case histories.Produce:
		return "produce " + span64(len(c.Values), int64(c.Values[0]), int64(c.Values[len(c.Values)-1]))
	case histories.Fetch:
		return fmt.Sprintf("fetch at %d", c.Offset)
	case histories.ListOffsets:
		if c.Spec == api.OffsetSpec_EARLIEST {
			return "list earliest"
		}
		return "list latest"
	case histories.DeleteRecords:
		return fmt.Sprintf("delete records before %d", c.Offset)
	case histories.InitProducer:
		return fmt.Sprintf("init producer %d epoch %d", c.Producer, c.Epoch)
	}
	return fmt.Sprintf("%v %s", c.Op, c.Topic)
}

// tell says what an answer told.
func tell(c *histories.Call, a *histories.Answer) string {
	switch c.Op {
	case histories.Produce:
		return fmt.Sprintf(" -> offset %d", a.Offset)
	case histories.Fetch:
		if n := len(a.Records); n > 0 {
			return " -> offsets " + span64(n, int64(a.Records[0].Offset), int64(a.Records[n-1].Offset))
		}
		return " -> nothing"
	case histories.ListOffsets:
		return fmt.Sprintf(" -> %d", a.Offset)
	case histories.DeleteRecords:
		return fmt.Sprintf(" -> log start %d", a.LogStart)
	case histories.InitProducer:
		return fmt.Sprintf(" -> %d epoch %d", a.Producer, a.Epoch)
	}
	return " -> done"
}

// span64 writes a run of n numbers by its ends.
func span64(n int, first, last int64) string {
	if n == 1 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d..%d (%d)", first, last, n)
}
