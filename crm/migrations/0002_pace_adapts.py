from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0001_initial'),
    ]

    operations = [
        migrations.RenameField(
            model_name='accesstoken',
            old_name='failing_since',
            new_name='failed_at',
        ),
        migrations.AddField(
            model_name='pace',
            name='refused_at',
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='pace',
            name='share',
            field=models.FloatField(db_default=1, default=1),
        ),
    ]
