package histories

import (
	"fmt"
	"strings"
	"testing"
)

// What ends late ends the time that it is of, and not the one that has begun since.
func TestMember(t *testing.T) {
	var lines []string
	r := NewRecorder(func(e Event) {
		switch {
		case e.Note != nil:
			lines = append(lines, fmt.Sprintf("%v %d %s/%d at %d", e.Op, e.Note.Member, e.Note.Topic, e.Note.Partition, e.Note.Offset))
		case e.Call != nil:
			lines = append(lines, fmt.Sprintf("process %d: %d from %d, %t", e.Process, e.Call.Member, e.Call.Offset, e.Call.Continue))
		}
	})
	m := NewMember(r, "g")
	m.ID = 1
	m.Assigned(1, "t", 0, 10, false)
	m.Handed(2, "t", 0, []Record{{Offset: 10}, {Offset: 11}})
	m.Handed(3, "t", 0, []Record{{Offset: 12}})
	m.Processed(3)
	m.Processed(3) // it has been told
	first := m.Reads("t", 0)
	m.Ended(4, Lost, first)
	m.ID = 2
	m.Assigned(5, "t", 0, 12, true)
	m.Ended(6, Revoked, first) // it was about to give that up, and lost it meanwhile
	m.Handed(7, "t", 0, []Record{{Offset: 15}})
	m.Assigned(7, "t", 1, 0, false)
	m.Handed(7, "t", 1, []Record{{Offset: 0}})
	m.Processed(7)
	m.Ended(8, Revoked, m.Reads("t", 0))
	m.Ended(9, Revoked, m.Reads("t", 1))
	m.Handed(10, "t", 1, []Record{{Offset: 3}})
	want := `assigned 1 t/0 at 10
process 0: 1 from 10, true
process 0: 1 from 12, true
processed 1 t/0 at 13
lost 1 t/0 at 0
assigned 2 t/0 at 12
process 2: 2 from 15, false
assigned 2 t/1 at 0
process 3: 2 from 0, true
processed 2 t/0 at 16
processed 2 t/1 at 1
revoked 2 t/0 at 0
revoked 2 t/1 at 0
process 5: 2 from 3, false`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("recorded\n%s\nwant\n%s", got, want)
	}
}
