// Package texts breaks the rule of its name.
package texts

import (
	"errors"
	"fmt"

	"github.com/reprise-mq/reprise/proto"
	raft "go.etcd.io/raft/v3"
)

type plain struct{ a, b int }

type nested struct{ p *plain }

type named struct{ p *plain }

func (named) String() string { return "named" }

func prints(m map[int]int, p *plain, n nested, msg *proto.Message, f func()) {
	fmt.Println(m)                  // want `the core prints a map: print its sorted keys`
	_ = fmt.Sprint([]map[int]int{}) // want `the core prints a map`
	_ = fmt.Sprintf("%p", p)        // want `the core prints an address`
	_ = fmt.Sprintf("%v", n)        // want `the core prints an address`
	_ = fmt.Sprint([]*plain{})      // want `the core prints an address`
	_ = fmt.Sprint(f)               // want `the core prints an address`
	_ = fmt.Sprint(new(int))        // want `the core prints an address`
	panic(fmt.Sprintf("%v", msg))   // want `the core prints a protobuf message`
}

func calls(msg *proto.Message, status raft.Status) {
	_ = msg.String()        // want `the core prints a protobuf message`
	_ = status.String()     // want `the core prints raft's status`
	_ = fmt.Sprint(&status) // want `the core prints raft's status`
}

func printsTo(w *writer, m map[int]int) {
	fmt.Fprintln(w, 1)
	fmt.Fprintln(w, m)             // want `the core prints a map`
	_ = fmt.Append([]byte(nil), m) // want `the core prints a map`
	_, _ = fmt.Sscanf("1", "%d", new(int))
}

type writer struct{ p *plain }

func (*writer) Write([]byte) (int, error) { return 0, nil }

func harmless(p *plain, n named, c proto.Code, err error, anything any) error {
	_ = fmt.Sprint(*p, p, n, &n, []named{n}, c, c.String(), err, anything, &proto.Error{}, "text", 5)
	_ = fmt.Sprintf("%d %% %s", len("x"), errors.New("y").Error())
	return fmt.Errorf("reading: %w", err)
}
