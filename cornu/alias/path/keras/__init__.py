"""`keras`, where the folder of this package comes first in the search path: Cornu takes its place."""

import cornu.as_keras
