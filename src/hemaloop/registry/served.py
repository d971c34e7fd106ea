"""The script that MLflow keeps as the model ("models from code"), so that loading one unpickles nothing.

MLflow runs it; nobody imports it.
"""

from mlflow.models import set_model

from hemaloop.registry.pyfunc import ShippedClassifier

set_model(ShippedClassifier())
