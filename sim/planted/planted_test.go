package planted

import "testing"

// Every edit still applies: a planted bug that the code has grown out of proves
// nothing.
func TestEditsApply(t *testing.T) {
	for i := range Bugs {
		if _, err := Bugs[i].Overlay("../..", t.TempDir()); err != nil {
			t.Error(err)
		}
	}
}
