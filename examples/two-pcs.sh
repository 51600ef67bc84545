#!/bin/sh
# two-pcs.sh: what to type on two PCs, both ways round. It only prints, since it runs on one of them.
me=$(hostname -I 2>/dev/null | cut -d' ' -f1)
cat <<END
The screen waits, the camera calls:
  on this PC (${me:-its address}):   vstream recv --play
  on the other:                 vstream send --to ${me:-THIS-PC}

The camera waits, screens call, as many as you like:
  on the PC with the camera:    vstream send --listen :9000
  on each screen:               vstream recv --play --from ${me:-CAMERA-PC}

The order does not matter, and either side may be restarted.
END
