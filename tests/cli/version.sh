"$MEBENCH" version | sed "s/(.*)/(GIT)/"
